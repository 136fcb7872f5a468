"""The pages of the documentation: their text, code blocks and inline code."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.M | re.S)


def pages() -> dict[str, str]:
    """Return the text of every page: path from the root of the repository -> text."""
    folders = ("docs", "examples", "results", "benchmarks")
    paths = [*ROOT.glob("*.md"), *(path for folder in folders for path in (ROOT / folder).rglob("*.md"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    return [code for name, code in _FENCE.findall(text) if name == language]


def prose(text: str) -> str:
    """Return the text of a page without its code blocks."""
    return _FENCE.sub("", text)


def inline_code(text: str) -> list[str]:
    """Return the text between single backticks in the prose of a page, with line breaks replaced by spaces."""
    return [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(text))]
