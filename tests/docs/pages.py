"""What is written for people: every page, its code blocks, its commands."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.M | re.S)


def pages() -> dict[str, str]:
    """Path from the checkout's root -> text of every page."""
    folders = ("docs", "examples", "results", "benchmarks")
    found = [*ROOT.glob("*.md"), *(path for folder in folders for path in (ROOT / folder).rglob("*.md"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(found)}


def blocks(text: str, language: str) -> list[str]:
    """The page's code blocks of a language."""
    return [code for name, code in _FENCE.findall(text) if name == language]


def prose(text: str) -> str:
    """The page without its code blocks."""
    return _FENCE.sub("", text)


def inline_code(text: str) -> list[str]:
    """What stands between backticks in the prose, line breaks taken out."""
    return [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(text))]
