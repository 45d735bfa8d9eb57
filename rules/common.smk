import ast
import functools
import hashlib
import os
import sys
from pathlib import Path

# Relative, or results that were moved with the workflow would be made again.
ROOT = Path(os.path.relpath(Path(str(workflow.current_basedir)).parent))
SCRIPTS = ROOT / "workflow_scripts"
REFERENCE = ROOT / "config" / "reference"
if not SCRIPTS.is_dir():
    sys.exit(
        f"Error: {workflow.current_basedir}: the library of this workflow must lie beside its rules: "
        "clone the repository and name the clone's workflow/Snakefile"
    )
sys.path.insert(0, str(SCRIPTS.resolve()))

from whatwhere.config import plan
from whatwhere.config.kinds import kind_of, sessions_of
from whatwhere.config.load import load
from whatwhere.config.resolve import FIGURE_KEYS
from whatwhere.config.traits import traits_of
from whatwhere.errors import UserError
from whatwhere.models.spec import ModelSpec
from whatwhere.recordings import input_files, stamp


def resolved(written):
    """The configuration that runs, checked; a mistake ends the run with one line, before the DAG is built."""
    try:
        asked = workflow.config_settings
        found = load(asked.configfiles, dict(written), dict(asked.config)).config
        for name in plan.used(found, "datasets"):
            for path in input_files(found["datasets"][name]):
                if not Path(path).exists():
                    raise UserError(f"datasets.{name}: {path}: no such file or folder")
    except UserError as error:
        sys.exit(f"Error: {error}")
    return found


config = resolved(config)

RUN = f"results/{config['run']}"
EXPERIMENTS = {experiment["name"]: experiment for experiment in config["experiments"]}
FITS = plan.fits(config)
CONDITIONS = plan.conditions(config)
EXAMPLES = FITS[FITS.example].drop_duplicates("figure")
RESULTS = plan.results(FITS)
PAGES = ["answers", "run", *(r[:-4] for r in RESULTS if r.endswith(".csv"))]
PAPER_CURVES = [f"{REFERENCE}/{name}.csv" for name in ("fig3", "fig4", "fig5")]
DATASETS, MODELS = (
    {
        name: {key: value for key, value in one.items() if key not in FIGURE_KEYS}
        for name, one in config[section].items()
    }
    for section in ("datasets", "models")
)
KINDS = {name: kind_of(one) for name, one in config["datasets"].items()}
SIMULATIONS = [name for name, kind in KINDS.items() if kind.simulated]
RECORDINGS = [name for name, kind in KINDS.items() if not kind.simulated]
DOWNLOADED = [name for name, kind in KINDS.items() if kind.downloaded]
# Names of models and datasets in figures, and the models of the paper whose values stand beside them.
LABELS = dict(zip(FITS.model, FITS.label))
DATASET_LABELS = {n: one.get("label", n) for n, one in config["datasets"].items()}
PAPER = {model: paper for model, paper in zip(FITS.model, FITS.paper) if paper}


# Rows of FITS and CONDITIONS that belong to the wildcards of a rule.
OF_FIT = "experiment == '{experiment}' and dataset == '{dataset}' and model == '{model}'"
OF_CONDITION = f"{OF_FIT} and n_neurons == '{{n_neurons}}' and n_images == '{{n_images}}'"


pathvars:
    results=RUN,
    logs=f"{RUN}/logs",
    benchmarks=f"{RUN}/benchmarks",


wildcard_constraints:
    experiment="|".join(EXPERIMENTS),
    dataset="|".join(config["datasets"]),
    model="|".join(config["models"]),
    n_neurons="all|[0-9]+",
    n_images="all|[0-9]+",


def labels_of(wildcards):
    """Labels of a figure or page of one dataset, or of one model fitted to it, in the report."""
    found = {"dataset": DATASET_LABELS[wildcards.dataset]}
    if "model" in wildcards.keys():
        found["model"] = LABELS[wildcards.model]
        fits = FITS.query(f"dataset == '{wildcards.dataset}' and model == '{wildcards.model}'")
        if len(fits) > 1:
            found["experiment"] = wildcards.experiment
    return found


def any_of(names):
    """Pattern of some names; of none, one that nothing matches."""
    return "|".join(names) or "(?!)"


def fitted_by(rule):
    """Pattern of the names of the models that a rule fits."""
    return any_of(n for n, m in config["models"].items() if traits_of(m).rule == rule)


@functools.cache
def imports_of(path):
    """Files of the library that a file imports, anywhere in it."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names += [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    places = [SCRIPTS.joinpath(*name.split(".")) for name in names]
    files = [f for p in places for f in (p.with_suffix(".py"), p / "__init__.py")]
    return [file for file in files if file.is_file()]


@functools.cache
def code_of(script, *modules):
    """Digest of a script, of ``modules`` below whatwhere, and of all that they import, directly or not.

    As a param it makes an edit rerun exactly the rules that use the edited file.
    """
    imported = [f"whatwhere/{module.replace('.', '/')}" for module in modules]
    pending, found = [SCRIPTS / f"{name}.py" for name in (script, *imported)], set()
    while pending:
        path = pending.pop()
        if path not in found:
            found.add(path)
            pending += imports_of(path)
    # Modules read files beside them: checksums of published files, and the style of figures.
    found.update(*(path.parent.glob("*.yaml") for path in found))
    found.update(style for path in [*found] if (style := path.with_suffix(".mplstyle")).exists())
    content = b"".join(path.read_bytes() for path in sorted(found))
    return hashlib.sha256(content).hexdigest()[:12]


def code_of_kind(script):
    """Input function: digest of a script and of the module that makes datasets of this kind."""
    return lambda wildcards: code_of(script, KINDS[wildcards.dataset].module)


def untracked(value):
    """A param that may change without a rerun: Snakemake compares no params that depend on inputs."""
    return lambda wildcards, input: value


# Priority of tables and figures: a user waits for them.
FIRST = len(EXPERIMENTS) + 1


def by_experiment(wildcards):
    """Priority of a job: experiments run in the order of the configuration, as far as jobs wait for a core."""
    kind, name = next(iter(wildcards.items()))
    using = FITS.experiment[FITS[kind] == name]
    # Sessions that are pooled belong to no experiment; whatever waits for them comes first.
    first = min((list(EXPERIMENTS).index(one) for one in using), default=0)
    return len(EXPERIMENTS) - first


def growing(amount):
    """A resource that grows with every attempt, for jobs that ran out of memory (MB) or time (minutes)."""
    return lambda wildcards, attempt: amount * attempt


def of_fits(pattern, condition="index >= 0", within=FITS):
    """Files of the rows that fulfill a condition; ``{fit.path}`` and other columns stand in a pattern."""
    return collect(f"<results>/{pattern}", fit=lookup(condition, within=within))


def of_conditions(pattern, condition="index >= 0"):
    """Files of the conditions of one dataset and model; ``{fit.condition_path}`` stands in a pattern."""
    return of_fits(pattern, f"{OF_FIT} and {condition}", CONDITIONS)


# Files of one fit, by the name that inputs of rules give them.
PATTERNS = {
    "selection": "selection/{fit.path}.csv",
    "scores": "scores/{fit.path}.csv",
    "summary": "summaries/{fit.path}.csv",
    "predictions": "predictions/{fit.path}.nc",
    "draws": "draws/{fit.path}.nc",
    "parameters": "parameters/{fit.path}.nc",
    "locations": "locations/{fit.path}.csv",
    "neurons": "neurons/{fit.path}.nc",
    "barcodes": "barcodes/{fit.path}.csv",
    "barcode_scores": "barcodes/{fit.path}_scores.csv",
    "fields": "barcodes/{fit.path}_fields.nc",
}
# Only models with several features per neuron have them.
OF_BARCODES = ("barcodes", "barcode_scores", "fields")


def files_by_kind(condition, *kinds, within=FITS):
    """Inputs: files of the fits that fulfill a condition, by kind; without several features no barcodes."""
    with_barcodes = f"({condition}) and barcodes"
    return {
        kind: of_fits(PATTERNS[kind], with_barcodes if kind in OF_BARCODES else condition, within)
        for kind in kinds
    }


def of_run(result):
    """A result in a list, which is empty where the run does not make it."""
    return collect("<results>/{result}", result={result}.intersection(RESULTS))


def names_of(condition):
    """Experiment, dataset and model of the fits that fulfill a condition."""
    return FITS.query(condition)[["experiment", "dataset", "model"]].to_dict("records")


def downloads(wildcards):
    """Input function: mark that the published files of a dataset, if any, are there."""
    needed = wildcards.dataset in DOWNLOADED
    return [f"<results>/downloads/{wildcards.dataset}.done"] if needed else []
