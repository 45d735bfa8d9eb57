"""What is said to the person who runs the workflow: one exception, and lists that fit into its line."""

from __future__ import annotations

from collections.abc import Iterable


class UserError(Exception):
    """Bad input: one line that names the file or key, what is wrong and what to do.

    Scripts print it without a traceback and exit with code 1; any other exception is a bug of ours.
    """


def some_of(numbers: Iterable[int]) -> str:
    """The first ten of many numbers, and how many more there are."""
    listed = [int(number) for number in numbers]
    return f"{listed[:10]}" if len(listed) <= 10 else f"{listed[:10]} and {len(listed) - 10} more"
