"""Escaping of foreign text, such as file names and answers of servers, before it is printed on a terminal."""

import re
import unicodedata

_LINE_CHARACTERS, _WORD_CHARACTERS = 1500, 300  # of a message
# Control characters, and marks that reverse the direction of the text after them.
_UNPRINTABLE_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")
_DIRECTION_MARKS = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """Replace control characters in a text by escape sequences such as "\\\\x1b", which a terminal does not obey.

    Line breaks are replaced, too. Bytes of file names that are not UTF-8 become "\\\\udcff".

    Example:

    >>> printable("red\\x1b[31m")
    'red\\\\x1b[31m'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_escaped, text))


def printable_lines(text: str) -> str:
    """Escape the control characters of a message except for its line breaks, and shorten long words and lines.

    Words lose their middle beyond 300 characters, lines their end beyond 1500.
    """
    return "\n".join(map(_shorten, text.split("\n")))


def _shorten(line: str) -> str:
    half = _WORD_CHARACTERS // 2
    words = (word if len(word) <= _WORD_CHARACTERS else f"{word[:half]}...{word[-half:]}" for word in line.split(" "))
    line = " ".join(words)
    return printable(line if len(line) <= _LINE_CHARACTERS else f"{line[:_LINE_CHARACTERS]} ...")


def markdown_text(text: str) -> str:
    """Escape a text for Markdown, so that it shows as it is and cannot become a link, a tag or a new line."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>&~])", r"\\\1", printable(text))


def _escaped(character: str) -> str:
    if unicodedata.category(character) in _UNPRINTABLE_CATEGORIES or character in _DIRECTION_MARKS:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character
