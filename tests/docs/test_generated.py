"""Tests that the generated tables of the pages are up to date, and that the README's figure can be drawn."""

import functools

import pytest

from docs.scripts import capconv_figure, generated, markdown
from tests.docs.pages import ROOT


@pytest.fixture(scope="module", autouse=True)
def _tables():
    """Compute each table once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generated, "TABLES", {name: functools.cache(table) for name, table in generated.TABLES.items()})
        yield


@pytest.mark.parametrize(
    "page", ["README.md", "results/README.md", pytest.param("docs/theory.md", marks=pytest.mark.ci)]
)  # builds models
def test_tables_are_up_to_date(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert "<!-- generated: " in text
    assert text == generated.update_tables(text), "Run python -m docs.scripts.generated."


@pytest.mark.ci
def test_the_papers_numbers_are_counted_from_the_models():
    assert "8,388,608 | 4,194,304" in generated.TABLES["layer"]()


def test_a_wrong_figure_is_replaced():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "| 1.50 |" in text
    assert generated.update_tables(text.replace("| 1.50 |", "| 1.49 |")) == text


def test_every_page_and_table_is_covered():
    assert generated.PAGES == ("README.md", "docs/theory.md", "results/README.md")
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in generated.PAGES)
    assert all(f"<!-- generated: {name} -->" in text for name in generated.TABLES)


@pytest.mark.ci
def test_figure(tmp_path):
    capconv_figure.main(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_tables_can_be_read_back():
    text = "before\n\n" + markdown.table(("name", "n"), [("a", 1234), ("b", 5)]) + "\n\nafter"
    assert markdown.read(text, "name") == [{"name": "a", "n": "1,234"}, {"name": "b", "n": "5"}]
    with pytest.raises(ValueError, match="no table"):
        markdown.read(text, "other")
