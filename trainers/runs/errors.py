"""The exception that the command line turns into a message and an exit status."""


class UserError(Exception):
    """Error that the user can mend. The command prints its message without a traceback.

    Args:
        message: what happened, what was expected, how to fix it.
        status: exit status of the command: 2 for wrong input, 1 for work that failed, 130 for an interruption.
    """

    def __init__(self, message: str, status: int = 2):
        super().__init__(message)
        self.status = status


def reason(error: BaseException) -> str:
    """Return the first line of an exception's message, up to 300 characters, or the exception's type if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
