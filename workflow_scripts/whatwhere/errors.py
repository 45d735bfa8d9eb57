"""Errors that a user of the workflow can correct."""

from collections.abc import Iterable


class UserError(ValueError):
    """Bad input: one line that names the file or key, the fault and the remedy.

    Scripts print the line without a traceback and exit with code 1; any other exception is a bug.
    """


def some_of(numbers: Iterable[int]) -> str:
    """Lists the first ten of many numbers and counts the others."""
    listed = [int(number) for number in numbers]
    return f"{listed[:10]}" if len(listed) <= 10 else f"{listed[:10]} and {len(listed) - 10} more"
