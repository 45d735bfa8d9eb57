"""The command line: whatwhere init FILES..."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from whatwhere import init

COMMANDS = {"init": init.main}
"""Functions that take the arguments behind the name of a command and return an exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of :data:`COMMANDS`."""
    parser = ArgumentParser("whatwhere", description="Neural system identification.", add_help=False)
    parser.add_argument("command", choices=COMMANDS)
    command, rest = parser.parse_known_args(arguments)
    return COMMANDS[command.command](rest)


if __name__ == "__main__":
    sys.exit(main())
