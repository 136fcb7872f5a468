"""The pages' computed tables and the README's figure are what their scripts make."""

import pytest

from docs.scripts import capconv_figure, generated, markdown
from tests.docs.pages import ROOT


@pytest.mark.parametrize("page", generated.PAGES)
def test_tables_are_up_to_date(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert "<!-- generated: " in text
    assert text == generated.filled(text), "run python -m docs.scripts.generated"


def test_a_changed_figure_is_seen():
    text = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
    assert "8,388,608 | 4,194,304" in text  # the paper's, by the models
    assert generated.filled(text.replace("8,388,608 |", "8,388,609 |")) == text


def test_every_table_has_a_page():
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in generated.PAGES)
    assert all(f"<!-- generated: {name} -->" in text for name in generated.BLOCKS)


def test_figure(tmp_path):
    capconv_figure.main(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_tables_are_read_as_written():
    text = "before\n\n" + markdown.table(("name", "n"), [("a", 1234), ("b", 5)]) + "\n\nafter"
    assert markdown.read(text, "name") == [{"name": "a", "n": "1,234"}, {"name": "b", "n": "5"}]
    with pytest.raises(ValueError, match="no table"):
        markdown.read(text, "other")
