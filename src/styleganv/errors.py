"""The exception whose text is meant for the user, and the errors of libraries in the user's words."""


class StyleganvError(Exception):
    """Error that the user can fix: invalid input or insufficient resources.

    The text is one sentence that names the thing (a file, a setting), the problem and the remedy. The command line
    prints it without a traceback and exits with status 1.
    """


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text; its type if there is none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def describe(error: BaseException) -> str:
    """Return the reason that a library gives for an error, on one line and without Python's own words."""
    if isinstance(error, UnicodeError):
        return "it is not UTF-8 text"
    if isinstance(error, AttributeError | TypeError):
        return "a part of it has another type"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:200] or type(error).__name__
