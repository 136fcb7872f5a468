"""The one exception the command line turns into a message and an exit status; the reason that any other gives."""


class UserError(Exception):
    """Something the user can mend: printed as one message, without a traceback.

    Args:
        message: what happened, what was expected, how to fix it.
        status: exit status of the command: 2 for wrong input, 1 for work that failed.
    """

    def __init__(self, message: str, status: int = 2):
        super().__init__(message)
        self.status = status


def reason(error: BaseException) -> str:
    """The first line of an exception's text, 300 characters at most; its kind where it has no text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
