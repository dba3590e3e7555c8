"""The one exception a person is meant to read."""


class StyleganvError(Exception):
    """A mistake or a shortage that the user can mend.

    Its text is one sentence that names the thing (the file, the setting) and the remedy.
    The command line prints it without a traceback and exits with status 1.
    """
