"""Rendering of HTML pages from sections of text, tables and pictures.

The pages need no script and no network.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import jinja2

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Picture:
    """Picture for an HTML page: base64 PNG, alternative text and caption."""

    png: str
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """Section of an HTML page: heading, paragraphs, table and pictures.

    Attributes:
        title: the heading.
        texts: paragraphs.
        table: rows of cells; the first cell of each row is its heading.
        pictures: of the section.
        layout: of the pictures, "wide" or "gallery".
    """

    title: str
    texts: list[str] = field(default_factory=list)
    table: list[tuple] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    layout: str = "wide"


def render_page(title: str, sections: list[Section]) -> str:
    """Render a title and a list of sections as an HTML page.

    All text is escaped, since names and settings come from the user, and the page's content security policy forbids
    scripts and network access.
    """
    style = (_FOLDER / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("report.html").render(
        title=title, style=jinja2.utils.markupsafe.Markup(style), style_digest=digest, sections=sections
    )
