"""The README's commands and code are what is tested."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def test_ci_runs_the_readmes_test_command():
    commands = {line for block in _blocks("sh") for line in block.splitlines()}
    ci = {line.strip() for line in (ROOT / ".ci" / "run").read_text().splitlines()}
    assert "python -m pytest" in commands & ci
    assert any(line.startswith("pip install") and '-e ".[dev]"' in line for line in commands)
    assert any(line.startswith("pip install") and '-e ".[dev]"' in line for line in ci)


@pytest.mark.parametrize("code", _blocks("python"))
def test_code_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def test_links_to_files_exist():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target
