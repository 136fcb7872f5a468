"""Reader for text files with one class name per line, and a function that formats such a line."""

import json

from ...runs.errors import UserError
from ...runs.text_files import read_text


def read_class_names(path) -> list[str]:
    """Read a list of class names from a text file with one name per line.

    The names are those of class folders, such as WordNet ids. A `#` at the beginning of a line or after white space
    starts a comment, so that `C#` is a name. A name in double quotes is read as a string of JSON, for names that begin
    with `#`, or that contain ` #` or white space at an end.

    Raises:
        UserError: the file is missing or empty, or a line is wrong; the message gives its number.
    """
    try:
        lines = read_text(path).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text file"
        raise UserError(f"--classes_file={path} cannot be read: {reason}.") from None
    first_lines: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        name = _name_of_line(line.strip())
        if not name:
            continue
        if name in first_lines:
            raise UserError(
                f"--classes_file={path}: line {number} names {name} again, after line {first_lines[name]}. "
                "Remove one of the two lines."
            )
        if "/" in name or "\0" in name or name in (".", ".."):
            raise UserError(
                f"--classes_file={path}: line {number} is no folder's name: {name!r}. Expected a class folder's name, "
                "without the path to it."
            )
        first_lines[name] = number
    if not first_lines:
        raise UserError(f"--classes_file={path} names no class. Expected one class folder's name a line.")
    return list(first_lines)


def class_name_line(name: str) -> str:
    """Format a class name as one line of a text file, in double quotes if the name needs quoting."""
    return name if _name_of_line(name) == name else json.dumps(name, ensure_ascii=False)


def _name_of_line(line: str) -> str:
    """Return the class name in one line of a class-names file, or "" for a blank or comment line."""
    if line.startswith('"'):
        try:
            name, end = json.JSONDecoder().raw_decode(line)
            if _without_comment(line[end:]) == "":
                return name
        except ValueError:  # a name that begins with a quotation mark
            pass
    return _without_comment(line)


def _without_comment(text: str) -> str:
    for i, character in enumerate(text):
        if character == "#" and (i == 0 or text[i - 1].isspace()):
            text = text[:i]
            break
    return text.strip()
