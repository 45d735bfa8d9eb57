"""The one exception that is meant for the person who runs the workflow."""


class UserError(Exception):
    """Bad input: one line that names the file or key, what is wrong and what to do.

    Scripts print it without a traceback and exit with code 1; any other exception is a bug of ours.
    """
