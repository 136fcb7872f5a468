"""Table of when, on which commit and under which load every benchmark was last run, read from results/."""

import json

from benchmarks.all import NAMES, OTHERS
from docs.scripts import markdown
from docs.scripts.results import RESULTS

NOT_RECORDED = "not recorded"


def table() -> str:
    """Return a Markdown table with the date, commit, processor and load of the last run of each benchmark."""
    rows = []
    for name in (*NAMES, *OTHERS):
        file = RESULTS / f"{name.rpartition('.')[2]}.json"
        if not file.exists():
            rows.append((f"`{name}`", "never", "", "", ""))
            continue
        run = json.loads(file.read_text(encoding="utf-8"))
        load = run.get("load_average_at_start", run.get("load_before"))
        hardware = run.get("device") or f"{run['cpu']}, {run['cores']} cores"
        date, commit = run.get("date", NOT_RECORDED), run.get("commit", NOT_RECORDED)
        rows.append((f"`{name}`", date, commit, hardware, f"{load:.1f}"))
    return markdown.table(("NAME", "last run", "commit", "hardware", "load at the start"), rows)
