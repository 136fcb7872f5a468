"""Rendering of HTML pages from sections of text, tables and pictures.

The pages need no script and no network.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Picture:
    """PNG picture for an HTML page, with alternative text and an optional caption.

    Attributes:
        png: base64 PNG.
        alt: alternative text.
        caption: text below or beside the picture.
        width: on the page, in pixels; None is that of the PNG.
    """

    png: str
    alt: str
    caption: str = ""
    width: int | None = None


@dataclass(frozen=True)
class Bar:
    """One bar of a bar chart on an HTML page.

    Attributes:
        name: what is measured.
        share: length of the bar, as a share of the longest possible one, from 0 to 1.
        text: the value, as it is printed.
        marked: whether the bar has the colour that stands out.
    """

    name: str
    share: float
    text: str
    marked: bool = False


@dataclass(frozen=True)
class Section:
    """Section of an HTML page, which can contain subsections.

    Attributes:
        title: the heading.
        texts: paragraphs.
        table: rows of cells; the first cell of each row is its heading.
        pictures: of the section.
        layout: of the pictures: "wide", one below the other; "gallery", small ones side by side, with square pixels;
            "panels", larger ones; "pairs", two images in each; "rows", flat ones with their captions beside them.
        bars: of a bar chart.
        parts: sections within this one.
    """

    title: str
    texts: list[str] = field(default_factory=list)
    table: list[tuple] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    layout: str = "wide"
    bars: list[Bar] = field(default_factory=list)
    parts: list["Section"] = field(default_factory=list)


def render_page(title: str, sections: list[Section], texts: Sequence[str] = ()) -> str:
    """Render a title, paragraphs and a list of sections as an HTML page.

    All text is escaped, since names and settings come from the user, and the page's content security policy forbids
    scripts and network access.
    """
    style = (_FOLDER / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("report.html").render(
        title=title, texts=texts, style=jinja2.utils.markupsafe.Markup(style), style_digest=digest, sections=sections
    )
