"""Reading of text files in UTF-8 or UTF-16."""

import codecs
from pathlib import Path

from .path_arguments import refuse_devices

_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig"}


def read_text(path: str | Path) -> str:
    """Read a text file in UTF-8, or in UTF-16 if it begins with that encoding's byte order mark.

    Windows's Notepad and PowerShell write such marks. They are no part of the text, and neither are carriage returns at
    the ends of lines.

    Raises:
        OSError: the file cannot be read, or is a device or a named pipe, which need not end.
        UnicodeDecodeError: it is in another encoding, or no text.
    """
    path = Path(path).expanduser()
    refuse_devices(path)
    content = path.read_bytes()
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    return content.decode(encoding).replace("\r\n", "\n")
