"""Result tables of the README, computed from the files in results/.

It has figures of the paper and of this library; a second table has those of the paper's released code.
"""

import json
import re
import statistics
from pathlib import Path

from encapnet_tf.trainers.ablation.rows import TABLES

from docs.scripts import markdown

RESULTS = Path(__file__).parents[2] / "results"
NONE = "–"
PAPER_SECONDS = {"PlainCNN same_shape": 0.026, "EncapNet-6 master": 0.039, "EncapNet-6 master/aide": 0.061}  # Table 1
TABLE_1, TABLE_3 = ("c", "a", "e", "f"), ("1", "4", "7", "c", "c2")  # the rows to show


def table() -> str:
    """Return the Markdown table that compares this package's results with those of the EncapNet paper.

    Every figure of this library comes from a file in results/.
    """
    rows = [*_digits(), *_fashion_mnist(), *_rows("table1", TABLE_1), *_rows("table3", TABLE_3), *_steps(), *_attack()]
    return markdown.table(("measured", "paper", "this library"), rows)


def released_code() -> str:
    """Return a Markdown table that compares step times of this package and of the EncapNet paper's released code."""
    text = (RESULTS / "released_code.md").read_text(encoding="utf-8")
    rows = markdown.read(text, "14 layers, batch 64")
    return markdown.table(rows[0], [row.values() for row in rows])


def _percent(text) -> float:
    return float(text.split("%")[0])


def _section(title) -> str:
    text = (RESULTS / "README.md").read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def _digits():
    seeds = markdown.read(_section("Digits"), "seed")
    accuracies = [_percent(row["test accuracy"]) for row in seeds]
    time = statistics.median(int(row["training"].removesuffix(" s")) for row in seeds)
    spread = f"{min(accuracies):.1f} to {max(accuracies):.1f}, {len(seeds)} seeds"
    here = f"{statistics.mean(accuracies):.1f} % ({spread}), {time:.0f} s of training"
    yield "test accuracy on digits, `encapnet train`", NONE, here


def _fashion_mnist():
    row = markdown.read(_section("Fashion-MNIST"), "network")[0]
    here = f"{row['test accuracy']}, {row['training']} of training"
    yield "test accuracy on Fashion-MNIST, 3 epochs", NONE, here


def _rows(table, names):
    """Yield table rows that compare an ablation study's test errors with those of the EncapNet paper.

    The paper's errors are on CIFAR-10, those of this package on scikit-learn's digits.
    """
    ours = {row["row"]: row for row in markdown.read((RESULTS / f"{table}_digits.md").read_text("utf-8"), "row")}
    for row in TABLES[table]:
        if row.name.split("/")[1] in names:
            digits, number = ours[row.name], row.name.replace("table", "Table ").replace("/", " row ")
            here = f"digits: {digits['error, %']} % (seeds: {digits['runs']}, epochs: {digits['epochs']})"
            paper = re.sub(r"[.\d]+", r"\g<0> %", row.paper)
            yield f"error, {number}: {row.about}", f"CIFAR-10: {paper}", here


def _steps():
    rows = {row["network"]: row for t in json.loads((RESULTS / "step.json").read_text())["tables"] for row in t["rows"]}
    times = {name: row["training, ms"] for name, row in rows.items()}
    cnn, *ours = PAPER_SECONDS
    for name in ours:
        paper, here = (f"{of[name] / of[cnn]:.2f}" for of in (PAPER_SECONDS, times))
        yield f"training step, {name}, relative to a plain CNN of the same shape", paper, here
    for name in ("EncapNet-18 master", "EncapNet-18 master/aide", "ResNet18"):
        yield f"training step, {name}, batch {rows[name]['batch']}", NONE, f"{times[name]:,.0f} ms"


def _attack():
    text = (RESULTS / "robustness.md").read_text(encoding="utf-8")
    rows = {row["attack, grey levels of 255"]: row for row in markdown.read(text, "attack, grey levels of 255")}
    here = f"{rows['EncapNet-6 master/aide']['32']} %; plain CNN {rows['plain CNN, cross entropy']['32']} %"
    yield "accuracy on digits under attack (one gradient step of 32 grey levels), EncapNet-6", NONE, here
