#!/bin/sh
# The benchmarks on a GPU: sh benchmarks/gpu.sh, from the root, in an environment with a CUDA build of torch.
# Writes benchmarks/results/bench_cuda.csv with the name of the GPU in every row.
set -eu
cd "$(dirname "$0")/.."
python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || {
    echo "no GPU is visible to torch" >&2
    exit 1
}
PYTHONPATH=workflow_scripts exec python benchmarks/bench.py
