"""Reports of benchmark results, written as a JSON and a Markdown file.

NAME.json has figures and conditions, NAME.md is to read.
"""

import json
from dataclasses import asdict, dataclass

from benchmarks.harness import conditions
from benchmarks.harness.contestant import NotRun
from benchmarks.harness.timing import median


@dataclass(frozen=True)
class Claim:
    """A measured benchmark value, and the minimum or maximum that the value must meet.

    Attributes:
        text: description of the figure.
        value: the figure, or None if it could not be measured.
        limit: largest allowed value, or smallest with `at_least`.
        at_least: whether the limit is a lower one.
        reason: why there is no value.
    """

    text: str
    value: float | None
    limit: float
    at_least: bool = False
    reason: str = ""

    def __str__(self):
        bound = f"{'at least' if self.at_least else 'at most'} {self.limit:g}"
        if self.value is None:
            return f"{self.text}: not run: {self.reason} ({bound})"
        return f"{self.text}: {self.value:.3g} ({bound}): {'holds' if self.holds else 'misses'}"

    @property
    def holds(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


class Report:
    """A benchmark report, which holds tables, notes and measured values and is saved as JSON and Markdown.

    Args:
        name: of the files.
        title: first line of the Markdown.
        about: a paragraph: what is measured and how.
        quick: whether this was a run with --quick, which the Markdown then says.
    """

    def __init__(self, name, title, about, quick=False):
        self._name, self._title = name, title
        self._about = ("**--quick: so small and short that no figure here means anything.** " if quick else "") + about
        self._conditions = conditions.conditions()
        self._tables, self._claims, self._notes, self._cases = [], [], [], []
        self._extra = {}

    def case(self, description, results):
        """Add to this benchmark report the run times of all implementations on one problem.

        They are the results of one `measure`, and become a case of the report.

        Args:
            description: of the problem that was measured, JSON types.
            results: {name: `Timing` or `NotRun`}; times are written as median, quartiles and extremes.
        """
        self._cases.append((description, results))

    def table(self, rows, title=None):
        """Add a table to this benchmark report.

        Args:
            rows: dictionaries, column -> text or number; a missing column is left empty.
            title: heading above the table, or None.
        """
        if rows:
            self._tables.append((title, rows))

    def claim(self, text, value, limit, *, at_least=False, reason=""):
        """Add to this benchmark report a measured value and the limit that the value must meet.

        The limit is a minimum or a maximum. Both are printed.

        They are a `Claim`.
        """
        self._claims.append(Claim(text, value, limit, at_least, reason))
        print(self._claims[-1], flush=True)

    def note(self, text):
        """Add a line of text below the tables of this benchmark report."""
        self._notes.append(text)

    def extra(self, name, value):
        """Add a named value to the JSON file of this benchmark report."""
        self._extra[name] = value

    def write(self, folder):
        """Save this benchmark report as a JSON and a Markdown file, and print the paths of both files.

        The folder is made if missing.
        """
        folder.mkdir(parents=True, exist_ok=True)
        data = {
            **self._conditions,
            "cases": [
                {"case": case, "results": {name: result.summary() for name, result in results.items()}}
                for case, results in self._cases
            ],
            "tables": [{"title": title, "rows": rows} for title, rows in self._tables],
            "claims": [{**asdict(claim), "holds": claim.holds} for claim in self._claims],
            "notes": self._notes,
            **self._extra,
        }
        path = folder / f"{self._name}.json"
        path.write_text(json_text(data) + "\n", encoding="utf-8")
        path.with_suffix(".md").write_text(self.markdown(), encoding="utf-8")
        print(f"wrote {path} and {path.with_suffix('.md').name}")

    def markdown(self):
        """Return this benchmark report as a Markdown page."""
        about = self._conditions
        versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
        parts = [
            f"# {self._title}",
            self._about,
            f"`{about['command']}`, {about['date']}, commit {about['commit']}. {about['cpu']}, {about['cores']} cores, "
            f"{about['memory_gib']} GiB, {about['system']}; load average {about['load_average_at_start']:.1f} at the "
            f"start. {versions}.",
        ]
        for title, rows in self._tables:
            parts += ([f"## {title}"] if title else []) + [markdown_table(rows)]
        if self._claims:
            parts.append("\n".join(f"- {claim}" for claim in self._claims))
        failures = {(name, r.reason) for _, results in self._cases for name, r in results.items() if _failed(r)}
        notes = self._notes + sorted(f"{name}: not run: {reason}" for name, reason in failures)
        if notes:
            parts.append("\n".join(f"- {note}" for note in notes))
        return "\n\n".join(parts) + "\n"


def milliseconds(results):
    """Return a dictionary from the name of each implementation to the median run time in milliseconds.

    They are {name: milliseconds, or "not run"} of one `measure`.
    """
    return {name: "not run" if _failed(result) else 1e3 * median(result) for name, result in results.items()}


def markdown_table(rows):
    """Format a list of dictionaries as a Markdown table, with one row for each dictionary.

    Columns in the order in which they first appear.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [columns, ["---"] * len(columns)] + [[_cell(row.get(column)) for column in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def json_text(value, level=0):
    """Format data as compact JSON, with one table row or benchmark result on each line.

    The top two levels are indented. One result, table row or claim takes one line.
    """
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    nested = any(isinstance(part, (dict, list)) for part in inner)
    if not inner or level >= 4 or (level >= 2 and not nested):
        return json.dumps(value)
    parts = [json_text(part, level + 1) for part in inner]
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {part}" for key, part in zip(value, parts, strict=True)]
    first, last = "{}" if isinstance(value, dict) else "[]"
    indent = "\n" + " " * level
    return f"{first}{indent} " + f",{indent} ".join(parts) + f"{indent}{last}"


def _cell(value):
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _failed(result):
    return isinstance(result, NotRun)
