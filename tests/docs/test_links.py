"""Every link leads somewhere: files and headings by looking, addresses on the web by their form."""

import re
from urllib.parse import urlsplit

import pytest

from tests.docs.pages import ROOT, pages, prose

PAGES = pages()
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def links(text):
    return _LINK.findall(re.sub(r"`[^`]*`", "", prose(text)))


def anchors(text):
    """The headings of a page as GitHub and MkDocs name them."""
    titles = re.findall(r"^#+ (.+)$", prose(text), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def wrong(page, target):
    """Why a link of a page leads nowhere, or None."""
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
    found = {target: wrong(page, target) for target in links(PAGES[page])}
    assert {target: reason for target, reason in found.items() if reason} == {}


def test_there_are_links_to_look_at():
    assert sum(len(links(text)) for text in PAGES.values()) > 30


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
def test_a_wrong_link_is_seen(target, reason):
    assert wrong("README.md", target) == reason
