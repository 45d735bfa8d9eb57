"""The command line: whatwhere init | check | plan | answers | fit | show."""

import importlib
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from whatwhere import __version__

# Every command imports what it needs: torch, which two commands need, takes seconds.
_MODULES = {"init": "init", "check": "check", "plan": "cost", "answers": "sentences"}
"""Modules whose ``main`` takes the arguments of a command by name and returns an exit code."""


def _fit(
    images: str,
    responses: str,
    images_layout: Sequence[str] | None,
    responses_layout: Sequence[str] | None,
    model: str | None,
    output: Path,
) -> list[str]:
    from whatwhere.api import fit
    from whatwhere.recordings.array_files import read_array

    fitted = fit(
        *(read_array(images), read_array(responses)),
        images_layout=images_layout,
        responses_layout=responses_layout,
        model=model,
    )
    fitted.save(output)
    shown = fitted.scores[["neuron", "correlation", "cc_max", "feve"]].round(3)
    return [repr(fitted), shown.to_string(index=False, max_rows=20), f"{output} is written"]


def _show(model: Path, plot: Path | None) -> list[str]:
    from whatwhere.api import load
    from whatwhere.files import atomic

    fitted, path = load(model), model.with_suffix(".png") if plot is None else plot
    figure = fitted.plot()
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150)
    return [repr(fitted), f"{path} is written"]


def _run(command: str, options: dict[str, Any]) -> int:
    """Runs a command and returns its exit code."""
    if command in _MODULES:
        code: int = importlib.import_module(f"whatwhere.{_MODULES[command]}").main(**options)
        return code
    from whatwhere.logs import report

    functions: dict[str, Callable[..., list[str]]] = {"fit": _fit, "show": _show}
    return report(lambda: functions[command](**options))


def _parser() -> ArgumentParser:
    parser = ArgumentParser("whatwhere", description="Neural system identification for large populations.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, does: str) -> ArgumentParser:
        return commands.add_parser(name, help=does, description=does)

    init = add("init", "write the configuration of a recording, to be checked by you")
    init.add_argument("files", nargs="+", help="arrays; pictures with a table or arrays; or an NWB file")
    init.add_argument("--output", type=Path, default=Path("config/mine.yaml"), help="file to write")
    counts = "ms after the onset of an image between which spikes of an NWB file are counted"
    init.add_argument("--window", nargs=2, type=int, metavar=("START", "END"), help=counts)
    for name, does in {
        "check": "validate a configuration and its data in seconds",
        "plan": "list fits and files of a configuration",
        "answers": "print the answers of a completed run",
    }.items():
        help_of_files = "YAML files, of which later ones override earlier ones; default: the quick run"
        add(name, does).add_argument("paths", nargs="*", metavar="CONFIG", help=help_of_files)
    fit = add("fit", "fit a model to arrays, print its scores and save it")
    for name, axes in {"images": "y,x,image", "responses": "repeat,image,neuron"}.items():
        fit.add_argument(name, help="array file, or file.npz:name")
        words = f"order of the axes, such as {axes}"
        fit.add_argument(f"--{name}_layout", type=lambda text: text.split(","), metavar="AXES", help=words)
    fit.add_argument("--model", metavar="NAME", help="a model of config/models.yaml")
    fit.add_argument("--output", type=Path, default=Path("model.pt"), help="file to write")
    show = add("show", "describe a saved model and draw it")
    show.add_argument("model", type=Path, help="file of the command fit, or of FittedModel.save")
    show.add_argument("--plot", type=Path, help="picture to write; default: the model with the ending .png")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command with the arguments of the process, or with others."""
    options = vars(_parser().parse_args(arguments))
    try:
        code = _run(options.pop("command"), options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough; Python would complain again when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
