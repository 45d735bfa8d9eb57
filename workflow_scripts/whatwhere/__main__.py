"""The command line: whatwhere init FILES..."""

import sys
from argparse import ArgumentParser

from whatwhere import init

COMMANDS = {"init": init.main}
"""Functions that take the arguments behind the name of a command and return an exit code."""


def main() -> int:
    """Run one of :data:`COMMANDS` with the arguments of the process."""
    parser = ArgumentParser("whatwhere", description="Neural system identification for large populations.")
    parser.add_argument("command", choices=COMMANDS)
    return COMMANDS[parser.parse_args(sys.argv[1:2]).command](sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
