"""Exception class for errors that users can fix, and functions that shorten the messages of other errors."""

import re


class UserError(Exception):
    """Error that the user can fix, shown on the command line without a traceback.

    Args:
        message: what happened, what was expected, how to fix it.
        status: exit status of the command: 2 for wrong input, 1 for work that failed, 130 for an interruption.
    """

    def __init__(self, message: str, status: int = 2):
        super().__init__(message)
        self.status = status


def reason(error: BaseException) -> str:
    """Return the first line of an exception message, or the name of the exception type if the message is empty.

    The line is cut off after 300 characters.
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def root_cause(message: str) -> str:
    """Shorten a TensorFlow error message by removing the names of graph nodes and the stack traces."""
    if match := re.search(r"assertion failed: \[(?:image \d+ of the batch )?(.*?)\]", message, re.S):
        return match[1]
    message = re.sub(r"\{\{function_node .*?\}\}|\[\[.*?\]\]|\[Op:.*?\]", "", message)
    noise = ("Graph execution error", "Detected at node", "<stack traces", 'File "')
    lines = [line.strip() for line in message.splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(noise))
