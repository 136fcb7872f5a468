"""What a benchmark leaves: NAME.json with every round, NAME.md to read."""

import json
from dataclasses import asdict, dataclass

from benchmarks import machine
from benchmarks.contestant import NotRun, Timing
from benchmarks.harness import median


@dataclass(frozen=True)
class Claim:
    """A figure with the limit that it should keep.

    Attributes:
        text: what is compared.
        value: the figure, or None where it could not be measured.
        limit: what it should not pass.
        at_least: whether the limit is a floor, not a ceiling.
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
    """Collects a benchmark's tables, claims and raw figures, and writes them.

    Args:
        name: of the files.
        title: first line of the Markdown.
        about: a paragraph: what is measured and how.
        quick: whether this was a run with --quick, which is then said.
    """

    def __init__(self, name, title, about, quick=False):
        self._name, self._title = name, title
        self._about = ("**--quick: so small and short that no figure here means anything.** " if quick else "") + about
        self._conditions = machine.conditions()
        self._tables, self._claims, self._notes, self._cases = [], [], [], []
        self._extra = {}

    def case(self, description, results):
        """Keeps the results of one `measure`, {name: Timing or NotRun}; `description` says of what, JSON types."""
        self._cases.append((description, results))

    def table(self, rows, title=None):
        """Adds a table: rows are dictionaries, column -> text or number; a column that a row lacks is left empty."""
        if rows:
            self._tables.append((title, rows))

    def claim(self, text, value, limit, at_least=False, reason=""):
        """Adds and prints a `Claim`."""
        self._claims.append(Claim(text, value, limit, at_least, reason))
        print(self._claims[-1], flush=True)

    def note(self, text):
        """Adds a line below the tables."""
        self._notes.append(text)

    def extra(self, name, value):
        """Keeps further figures in the JSON under a name."""
        self._extra[name] = value

    def write(self, folder):
        """Writes NAME.json and NAME.md into a folder, which is made, and says where."""
        folder.mkdir(parents=True, exist_ok=True)
        data = {
            **self._conditions,
            "cases": [{"case": case, "results": {n: _raw(r) for n, r in found.items()}} for case, found in self._cases],
            "tables": [{"title": title, "rows": rows} for title, rows in self._tables],
            "claims": [{**asdict(claim), "holds": claim.holds} for claim in self._claims],
            "notes": self._notes,
            **self._extra,
        }
        path = folder / f"{self._name}.json"
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        path.with_suffix(".md").write_text(self._markdown(), encoding="utf-8")
        print(f"wrote {path} and {path.with_suffix('.md').name}")

    def _markdown(self):
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
        not_run = {f"{n}: not run: {r.reason}" for _, found in self._cases for n, r in found.items() if _failed(r)}
        notes = self._notes + sorted(not_run)
        if notes:
            parts.append("\n".join(f"- {note}" for note in notes))
        return "\n\n".join(parts) + "\n"


def milliseconds(results):
    """Table cells {name: median milliseconds, or "not run"} of one `measure`."""
    return {name: "not run" if _failed(result) else 1e3 * median(result) for name, result in results.items()}


def markdown_table(rows):
    """A Markdown table of dictionaries; columns in the order in which they first appear."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [columns, ["---"] * len(columns)] + [[_cell(row.get(column)) for column in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


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


def _raw(result):
    return asdict(result) | ({"median": median(result)} if isinstance(result, Timing) else {})
