"""Filter that removes TensorFlow's log messages below the level ERROR from a stream of text."""

import re

# A message of level I (information) or W (warning), as TensorFlow's and abseil's logs write it:
# "2026-11-26 13:02:51.933532: I tensorflow/core/x.cc:12] ..." and "W0000 00:00:1795698171.933532   17885 x.cc:12] ..."
_MESSAGE = rb"\d{4}-\d\d-\d\d [\d:.]+: [IW] \S+:\d+\] |[IW]\d{4} [\d:.]+ +\d+ \S+:\d+\] "
# LiteRT writes levels as words; the second line precedes abseil's first.
_OTHERS = rb"(INFO|VERBOSE): |WARNING: (All log messages before absl::InitializeLog|Attempting to use a delegate)"
# Errors by their level only: two of TensorFlow's libraries register the same thing; the machine has no GPU; a processor
# without AVX-512 resizes images by another implementation.
_NO_ERRORS = (
    rb"\S*\d.* Unable to register cu(BLAS|DNN|FFT) factory: Attempting to register factory for plugin"
    rb"|\S*\d.* failed call to cuInit: .*(\(303\)|CUDA_ERROR_NO_DEVICE|no CUDA-capable device)"
    rb"|\S*\d.* oneDNN supports DT_UINT8 only on platforms with AVX-512\. Falling back"
)
_LOG_LINE = re.compile(b"|".join((_MESSAGE, _OTHERS, _NO_ERRORS)))
# Later lines of a message. Any other line may be an error's, even directly after a message.
_CONTINUATION = re.compile(rb"To enable the following instructions:|Skipping registering GPU|\s+\[\[\{\{node ")


class LogFilter:
    """Filter that removes TensorFlow's log messages below the level ERROR from a stream of bytes.

    Attributes:
        holds_text: whether a line without an end is held back, as it may become one of the log's.

    Example:

    >>> log = LogFilter()
    >>> log.feed(b"I0000 00:00:1.5  17 port.cc:153] oneDNN custom operations are on.\\nSegmentation fault\\n")
    b'Segmentation fault\\n'
    """

    def __init__(self):
        self._held = b""
        self._line_is_shown: bool | None = None  # of the line whose beginning was flushed
        self._after_log_line = False

    @property
    def holds_text(self) -> bool:
        """True if the stream's last line is incomplete and therefore held back from the output."""
        return bool(self._held)

    def feed(self, data: bytes) -> bytes:
        """Process the next bytes of a stream, and return the completed lines except TensorFlow messages below ERROR.

        An incomplete line is kept until its end arrives.
        """
        *lines, self._held = (self._held + data).split(b"\n")
        return b"".join(line + b"\n" for line in lines if self._shows(line, ends=True))

    def flush(self) -> bytes:
        """Return a stream's unterminated last line, or b"" if that line looks like a TensorFlow log message.

        For a line whose end does not come soon.
        """
        text, self._held = self._held, b""
        return text if text and self._shows(text, ends=False) else b""

    def _shows(self, text: bytes, *, ends: bool) -> bool:
        """Return False for TensorFlow's log messages below the level ERROR, and True for all other lines.

        Args:
            text: the line without its line break; the rest of a line whose beginning was flushed.
            ends: whether the line ends here.
        """
        shown = self._line_is_shown
        if shown is None:
            is_continuation = self._after_log_line and _CONTINUATION.match(text)
            shown = not (is_continuation or _LOG_LINE.match(text))
            self._after_log_line = not shown
        self._line_is_shown = None if ends else shown
        return shown
