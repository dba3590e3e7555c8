"""The exception whose text is meant for the user."""


class StyleganvError(Exception):
    """Error that the user can fix: invalid input or insufficient resources.

    The text is one sentence that names the thing (a file, a setting), the problem and the remedy. The command line
    prints it without a traceback and exits with status 1.
    """
