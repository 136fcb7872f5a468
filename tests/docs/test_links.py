"""Tests that the links and paths on the pages lead to files and headings that exist.

Of a web address only the form is checked.
"""

import re
from urllib.parse import urlsplit

import pytest

from tests.docs.pages import ROOT, inline_code, pages, prose

PAGES = pages()
_PATH = re.compile(r"(?:encapnet_tf|trainers|export|tests|benchmarks|docs|examples|results)/[\w./-]*")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def links(text):
    return _LINK.findall(re.sub(r"`[^`]*`", "", prose(text)))


def anchors(text):
    """Return the anchors that GitHub and MkDocs make of the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", prose(text), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def fault(page, target):
    """Return the reason why a link of a page is broken, or None."""
    if re.match(r"\w+:", target):
        address = urlsplit(target)
        return None if address.scheme == "https" and "." in address.netloc else "no https address"
    path, _, anchor = target.partition("#")
    file = (ROOT / page).parent / path if path else ROOT / page
    if not file.exists():
        return "no such file"
    if anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
        return "no such heading"
    return None


@pytest.mark.parametrize("page", PAGES)
def test_links(page):
    reasons = {target: fault(page, target) for target in links(PAGES[page])}
    assert {target: reason for target, reason in reasons.items() if reason} == {}


def paths(text):
    """Return the paths of the repository in the inline code of a page, placeholders and patterns excepted."""
    words = (code.split()[-1] for code in inline_code(text))
    return [word for word in words if _PATH.fullmatch(word) and not re.search(r"[A-Z]{3,}\b|my_|\*", word)]


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_paths(page):
    """Pages name files and folders that exist; the changelog may name old ones."""
    assert [path for path in paths(PAGES[page]) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_column_of_a_table_has_a_name(page):
    headers = re.findall(r"^(\|.+\|)\n\|[ :|-]*-[ :|-]*\|$", prose(PAGES[page]), re.M)
    assert [header for header in headers if not all(cell.strip() for cell in header.strip("|").split("|"))] == []


def test_links_and_paths_are_found():
    assert sum(len(links(text)) for text in PAGES.values()) > 30
    assert {"trainers/data/augmentation/", "tests/data"} <= set(paths(PAGES["README.md"]))


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("docs/nowhere.md", "no such file"),
        ("docs/theory.md#nothing-of-the-kind", "no such heading"),
        ("#no-such-section", "no such heading"),
        ("http://example.org", "no https address"),
        ("docs/theory.md#feedback", None),
        ("https://keras.io/api/", None),
    ],
)
def test_a_broken_link_is_reported(target, reason):
    assert fault("README.md", target) == reason
