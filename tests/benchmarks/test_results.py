"""The committed results: each page shows the tables of its JSON file, which holds summaries instead of every round."""

import json
from pathlib import Path

import pytest

from benchmarks.all import NAMES
from benchmarks.harness.report import json_text, markdown_table

RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize("name", NAMES)
def test_pages_show_the_tables_of_their_json(name):
    data = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    page = (RESULTS / f"{name}.md").read_text(encoding="utf-8")
    assert data["tables"]
    for table in data["tables"]:
        assert markdown_table(table["rows"]) in page


@pytest.mark.parametrize("name", NAMES)
def test_results_are_summaries(name):
    text = (RESULTS / f"{name}.json").read_text(encoding="utf-8")
    data = json.loads(text)
    assert text == json_text(data) + "\n"
    results = [result for case in data["cases"] for result in case["results"].values()]
    assert results
    for result in results:
        if "reason" not in result:
            lower, upper = result["quartiles"]
            assert result["min"] <= lower <= result["median"] <= upper <= result["max"]
            assert result["rounds"] >= 1
            assert "seconds" not in result
