"""The README's table of results, read from results/."""

import json
import statistics
from pathlib import Path

from . import markdown

RESULTS = Path(__file__).parents[2] / "results"


def table() -> str:
    """What was measured, in a few rows; every figure stands in a file of results/."""
    return markdown.table(("what", "figure", "beside it"), [*_digits(), *_fashion_mnist(), *_steps(), *_attack()])


def _percent(text) -> float:
    return float(text.split("%")[0])


def _section(title) -> str:
    text = (RESULTS / "README.md").read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def _digits():
    seeds = markdown.read(_section("digits"), "seed")
    accuracies = [_percent(row["test accuracy"]) for row in seeds]
    time = statistics.median(int(row["training"].removesuffix(" s")) for row in seeds)
    yield (
        "digits, `encapnet train`, test accuracy",
        f"{statistics.mean(accuracies):.1f} % ({min(accuracies):.1f} to {max(accuracies):.1f}, {len(seeds)} seeds)",
        f"{time:.0f} s of training",
    )
    rows = markdown.read(_section("digits, with and without feedback agreement"), "feedback")
    none, paper = rows[0], rows[1]
    yield (
        f"the same with feedback units, {paper['feedback'].split(', ')[1]}",
        f"{_percent(paper['mean test accuracy']):.1f} %",
        f"{_percent(none['mean test accuracy']):.1f} % without them, same random numbers",
    )


def _fashion_mnist():
    row = markdown.read(_section("Fashion-MNIST"), "network")[0]
    yield ("Fashion-MNIST, 3 epochs, test accuracy", row["test accuracy"], f"{row['training']} of training")


def _steps():
    rows = {row["network"]: row for t in json.loads((RESULTS / "step.json").read_text())["tables"] for row in t["rows"]}
    for ours, other in (("EncapNet-18 master", "ResNet18"), ("EncapNet-18 master/aide", "ResNet18")):
        yield (
            f"training step, {ours}, batch {rows[ours]['batch']}",
            f"{rows[ours]['training, ms']:,.0f} ms",
            f"{other} of the same map shapes: {rows[other]['training, ms']:,.0f} ms",
        )


def _attack():
    text = (RESULTS / "robustness.md").read_text(encoding="utf-8")
    rows = {row["attack, grey levels of 255"]: row for row in markdown.read(text, "attack, grey levels of 255")}
    yield (
        "digits attacked with 32 grey levels (one gradient step), EncapNet-6",
        f"{rows['EncapNet-6 master/aide']['32']} %",
        f"plain CNN: {rows['plain CNN, cross entropy']['32']} %",
    )
