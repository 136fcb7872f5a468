"""Command that updates the automatically generated tables in the Markdown documentation.

python -m docs.scripts.generated

A table stands between `<!-- generated: NAME -->` and `<!-- end -->`. A test checks that every page is up to date.
"""

import re
from pathlib import Path

from docs.scripts import benchmark_runs, complexity, results

ROOT = Path(__file__).parents[2]
TABLES = {
    "networks": complexity.networks,
    "layer": complexity.layer,
    "results": results.table,
    "released_code": results.released_code,
    "benchmark_runs": benchmark_runs.table,
}
PAGES = ("README.md", "docs/theory.md", "results/README.md")
_TABLE = re.compile(r"(<!-- generated: (\w+) -->).*?(<!-- end -->)", re.S)


def update_tables(text: str) -> str:
    """Return a Markdown page's text with its automatically generated tables recomputed."""
    return _TABLE.sub(lambda match: f"{match[1]}\n\n{TABLES[match[2]]()}\n\n{match[3]}", text)


if __name__ == "__main__":
    for page in PAGES:
        path = ROOT / page
        path.write_text(update_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(path)
