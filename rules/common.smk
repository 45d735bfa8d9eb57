import ast
import functools
import hashlib
import sys
from pathlib import Path

SCRIPTS = Path(workflow.basedir, "workflow_scripts")
sys.path.insert(0, str(SCRIPTS))

from whatwhere.config import SIMULATED, cells, read, validate
from whatwhere.errors import UserError
from whatwhere.recordings import input_files


def validated(config):
    """Check the configuration; a mistake ends the run with one line, before the DAG is built."""
    try:
        sources = [
            (str(path), read(path)) for path in dict.fromkeys(workflow.configfiles)
        ]
        validate(config, [*sources, ("--config", config)])
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
    return config


config = validated(config)

RUN = f"results/{config['run']}"
EXPERIMENTS = {experiment["name"]: experiment for experiment in config["experiments"]}
CELL = "{experiment}/{dataset}/n{n_neurons}-d{n_images}"
FIT = "{experiment}/{dataset}/{model}/n{n_neurons}-d{n_images}"


wildcard_constraints:
    experiment="[a-z0-9_]+",
    dataset="[a-z0-9_]+",
    model="[a-z0-9_]+",
    n_neurons="all|[0-9]+",
    n_images="all|[0-9]+",


@functools.cache
def imports_of(path):
    """Files of the library that a file imports, anywhere in it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            source = SCRIPTS.joinpath(*name.split("."))
            found += [source.with_suffix(".py"), source / "__init__.py"]
    return [file for file in found if file.is_file()]


def code_of(script):
    """Digest of a script and of the library modules it imports, directly or not.

    As a param it makes an edit rerun exactly the rules that use the edited file.
    """
    pending, seen = [SCRIPTS / f"{script}.py"], set()
    while pending:
        path = pending.pop()
        if path not in seen:
            seen.add(path)
            pending += imports_of(path)
    digest = hashlib.sha256()
    for path in sorted(seen):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def datasets_of(simulated):
    """Pattern of the names of simulated or of recorded datasets."""
    names = [
        name
        for name, definition in config["datasets"].items()
        if (definition["kind"] in SIMULATED) == simulated
    ]
    return "|".join(names) or "none"


def models_of(trained):
    """Pattern of the names of models that are trained by gradient descent, or of all others."""
    # The key tells: to ask whatwhere.families would cost every call of snakemake the import of torch.
    names = [
        name
        for name, model in config["models"].items()
        if ("training" in model) == trained
    ]
    return "|".join(names) or "none"


def has_barcodes(model):
    """Whether the feature weights of a model are clustered."""
    return model["family"] == "cnn_factorized"


def all_targets():
    """What a plain run makes."""
    tables = ["scores", "summary"]
    if any(
        has_barcodes(config["models"][m])
        for e in EXPERIMENTS.values()
        for m in e["models"]
    ):
        tables += ["barcodes", "barcode_scores"]
    figures = [e["figure"] for e in EXPERIMENTS.values() if e["figure"]]
    figures += [f"recording_{name}" for name in recorded_datasets()]
    return [f"{RUN}/tables/{name}.csv" for name in tables] + [
        f"{RUN}/figures/{name}.svg" for name in figures
    ]


def recorded_datasets():
    """Recorded datasets that an experiment uses."""
    used = {
        name for experiment in EXPERIMENTS.values() for name in experiment["datasets"]
    }
    return sorted(
        name for name in used if config["datasets"][name]["kind"] not in SIMULATED
    )
