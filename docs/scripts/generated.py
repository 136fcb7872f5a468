"""Writes the tables that are computed into the pages that show them: python -m docs.scripts.generated

A place for one is `<!-- generated: NAME -->` ... `<!-- end -->`; a test compares what stands there.
"""

import re
from pathlib import Path

from docs.scripts import complexity, results

ROOT = Path(__file__).parents[2]
BLOCKS = {"networks": complexity.networks, "layer": complexity.layer, "results": results.table}
PAGES = ("README.md", "docs/theory.md")
_PLACE = re.compile(r"(<!-- generated: (\w+) -->).*?(<!-- end -->)", re.S)


def filled(text: str) -> str:
    """A page's text with its tables computed anew."""
    return _PLACE.sub(lambda match: f"{match[1]}\n\n{BLOCKS[match[2]]()}\n\n{match[3]}", text)


if __name__ == "__main__":
    for page in PAGES:
        path = ROOT / page
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(path)
