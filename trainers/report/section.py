"""What a section of the report is made of."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Picture:
    """A PNG (base64) with its alternative text and caption."""

    png: str
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs, a table of rows (first cell a heading) and pictures, laid out "wide" or as a "gallery"."""

    title: str
    texts: list = field(default_factory=list)
    table: list = field(default_factory=list)
    pictures: list = field(default_factory=list)
    layout: str = "wide"
