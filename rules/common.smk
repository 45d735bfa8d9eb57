import ast
import functools
import hashlib
import sys
from pathlib import Path

SCRIPTS = Path(workflow.basedir, "workflow_scripts")
sys.path.insert(0, str(SCRIPTS))

from whatwhere.config.files import SIMULATED, cells, read
from whatwhere.config.validation import validate
from whatwhere.errors import UserError
from whatwhere.recordings import input_files
from whatwhere.simulations.inputs import simulation_inputs


def validated(config):
    """Check the configuration; a mistake ends the run with one line, before the DAG is built."""
    try:
        command_line = workflow.config_settings
        files = [workflow.configfiles[-1], *command_line.configfiles]
        sources = [(str(path), read(path)) for path in files]
        validate(config, [*sources, ("--config", dict(command_line.config))])
        used = {name for e in config["experiments"] for name in e["datasets"]}
        for name in sorted(used):
            missing = [
                p for p in input_files(config["datasets"][name]) if not Path(p).exists()
            ]
            if missing:
                raise UserError(
                    f"datasets.{name}: {missing[0]}: no such file or folder"
                )
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
    return config


config = validated(config)

RUN = f"results/{config['run']}"
EXPERIMENTS = {experiment["name"]: experiment for experiment in config["experiments"]}
PAPER_CURVES = [
    f"{workflow.basedir}/config/reference/{name}.csv"
    for name in ("fig3", "fig4", "fig5")
]
NO_NAME = "(?!)"
"""Pattern that nothing matches."""
CELL = "{experiment}/{dataset}/n{n_neurons}-d{n_images}"
FIT = "{experiment}/{dataset}/{model}/n{n_neurons}-d{n_images}"


wildcard_constraints:
    experiment="|".join(EXPERIMENTS),
    dataset="|".join(config["datasets"]),
    model="|".join(config["models"]),
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


def growing(amount):
    """A resource that grows with every attempt, for jobs that ran out of memory (MB) or time (minutes)."""
    return lambda wildcards, attempt: amount * attempt


def datasets_of(simulated):
    """Pattern of the names of simulated or of recorded datasets."""
    names = [
        name
        for name, definition in config["datasets"].items()
        if (definition["kind"] in SIMULATED) == simulated
    ]
    return "|".join(names) or NO_NAME


def fitting_rule(model):
    """The rule that fits a model."""
    # Keys tell: to ask whatwhere.training.families would cost every call of snakemake the import of torch.
    if model["family"] == "localization":
        return "localize"
    return "train" if "training" in model else "fit_baseline"


def models_of(rule):
    """Pattern of the names of the models that a rule fits."""
    names = [
        name for name, model in config["models"].items() if fitting_rule(model) == rule
    ]
    return "|".join(names) or NO_NAME


def has_masks(model):
    """Whether a model learns where every neuron looks."""
    families = ("cnn_factorized", "cnn_known_kernel", "cnn_gaussian", "localization")
    return model["family"] in families


def has_barcodes(model):
    """Whether a model has feature weights to cluster: a single feature has none."""
    features = [core["channels"][-1] for core in model.get("cores", [])]
    kernels = [n for block in model["grid"] for n in block.get("n_kernels", [])]
    families = ("cnn_factorized", "cnn_gaussian", "localization")
    return model["family"] in families and min(features + kernels) > 1


def has_mask_and_features(model):
    """Whether Figure 1 can be drawn from a model."""
    return model["family"] == "cnn_factorized" and has_barcodes(model)


def all_targets():
    """What a plain run makes."""
    tables = ["scores", "summary"]
    figures = sorted({e["figure"] for e in EXPERIMENTS.values() if e["figure"]})
    figures += [f"recording_{name}" for name in recorded_datasets()]
    if "table1" in figures:
        tables += ["table1"]
    if scaling_files(""):
        tables += ["scaling", "exchange_rates"]
        figures += ["scaling"]
    if "data_efficiency" in figures:
        tables += ["data_efficiency"]
    if fits_of(EXPERIMENTS.values(), has_barcodes):
        tables += ["barcodes", "barcode_scores"]
        figures += fitted("barcodes/{experiment}/{dataset}/{model}", has_barcodes)
        figures += fitted("most_exciting/{experiment}/{dataset}/{model}", has_barcodes)
    if fits_of(EXPERIMENTS.values(), has_mask_and_features):
        figures += ["fig1"]
    return (
        [f"{RUN}/tables/{name}.csv" for name in tables]
        + [f"{RUN}/figures/{name}.svg" for name in figures]
        + dataset_pages()
        + ([f"{RUN}/explore.html"] if explored_fits() else [])
    )


def dataset_pages():
    """Pages of all datasets that an experiment uses."""
    used = {name for e in EXPERIMENTS.values() for name in e["datasets"]}
    return [f"{RUN}/datasets/{name}.html" for name in sorted(used)]


def recorded_datasets():
    """Recorded datasets that an experiment uses."""
    used = {
        name for experiment in EXPERIMENTS.values() for name in experiment["datasets"]
    }
    return sorted(
        name for name in used if config["datasets"][name]["kind"] not in SIMULATED
    )


REFERENCES = sorted(
    map(str, Path(workflow.basedir, "config", "reference").glob("*.csv"))
)


def table_names():
    """Names of the tables of a plain run."""
    return [Path(path).stem for path in all_targets() if "/tables/" in path]


def question_tables(wildcards):
    """Input function: the tables of a run that can answer the paper's questions."""
    wanted = ("scores", "barcode_scores", "exchange_rates")
    return {
        name: f"{RUN}/tables/{name}.csv" for name in wanted if name in table_names()
    }


def report_pages():
    """What the report shows besides figures."""
    pages = ["answers", "run", *(f"tables/{name}" for name in table_names())]
    return [f"{RUN}/pages/{page}.html" for page in pages]
