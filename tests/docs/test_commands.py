"""Tests that every command on the pages is valid: its flags parse, its files, modules and extras exist. None is run."""

import configparser
import importlib.util
import re
import shlex
from itertools import takewhile

import pytest
from encapnet_tf.trainers.commands import cli
from encapnet_tf.trainers.config.flags import DEFAULT_RECIPE, flag_values
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.runs.errors import UserError

from tests.docs.pages import ROOT, blocks, inline_code, pages

PAGES = pages()


def shell_lines(page):
    """Return the lines of a page's shell blocks, with continued lines joined."""
    text = "\n".join(blocks(PAGES[page], "sh")).replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip()]


def commands(page):
    """Yield (words, in_block) of each command of a page, in its shell blocks and in its prose."""
    for line in shell_lines(page):
        words = [*takewhile(lambda word: word not in ("<", ">"), shlex.split(line, comments=True))]
        yield from ((part.split("\0"), True) for part in re.split("\0(?:&&|;)\0", "\0".join(words)) if part)
    for code in inline_code(PAGES[page]):
        if re.match(r"(encapnet|pip install|python -m|python \S+\.py) ?", code) and "|" not in code:
            yield shlex.split(code.replace("; ", " ; ").split(" ; ")[0]), False


def fill_placeholders(word):
    """Replace placeholders by values: shell variables, and a single capital letter after =."""
    return re.sub(r"=[A-Z]$", "=1", re.sub(r"\$\w+", "1", word))


def parse(words):
    """Parse the arguments of an `encapnet` command as the command line does, and check its choices."""
    args = cli._parse([fill_placeholders(word) for word in words])
    if args.verb == "train":
        resolve(args.recipe or DEFAULT_RECIPE, flag_values(args))
    return args


def refusal(words, in_block):
    """Return the reason why the command line refuses a command, or None.

    A verb that the prose only mentions needs no arguments.
    """
    is_mention = not in_block and not any(word.startswith("-") for word in words)
    try:
        parse([*words[:3], "--help"] if is_mention else words)
    except SystemExit as status:
        return None if status.code == 0 else f"exit status {status.code}"
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize("page", PAGES)
def test_encapnet(page):
    calls = [(words, in_block) for words, in_block in commands(page) if words[0] == "encapnet"]
    complete = [(words, in_block) for words, in_block in calls if not any(word.endswith("=...") for word in words)]
    reasons = {" ".join(words): refusal(words, in_block) for words, in_block in complete}
    assert {line: reason for line, reason in reasons.items() if reason} == {}


@pytest.mark.parametrize("page", PAGES)
def test_modules_scripts_and_extras(page):
    extras = configparser.ConfigParser()
    extras.read(ROOT / "setup.cfg", encoding="utf-8")
    for words, _ in commands(page):
        line = " ".join(words)
        if line.startswith("python -m ") and words[2].isidentifier() | ("." in words[2]):
            assert importlib.util.find_spec(words[2].replace(".NAME", "")), line
        elif re.match(r"python \S+\.py", line):
            assert (ROOT / words[1]).exists(), line
        elif line.startswith("pip install") and (extra := re.search(r"(?:\.|encapnet_tf)\[([\w,]+)\]", line)):
            assert set(extra[1].split(",")) <= set(extras["options.extras_require"]), line


def test_no_page_installs_from_a_package_index():
    """The package is on none; names of other packages, and what installs from the clone, are fine."""
    lines = [" ".join(words) for page in PAGES if page != "CHANGELOG.md" for words, _ in commands(page)]
    installs = [line for line in lines if line.startswith("pip install")]
    assert len(installs) > 8
    assert [line for line in installs if re.search(r"encapnet", line)] == []


def test_commands_are_found():
    calls = [(words, in_block) for page in PAGES for words, in_block in commands(page)]
    assert sum(words[0] == "encapnet" and in_block for words, in_block in calls) > 20
    assert sum(words[0] == "encapnet" and not in_block for words, in_block in calls) > 20


@pytest.mark.parametrize(
    "line", ["encapnet train --epoch=3", "encapnet train --epochs=x", "encapnet trian", "encapnet train --routing=self"]
)
def test_a_wrong_command_is_refused(line):
    with pytest.raises((SystemExit, UserError)):
        parse(shlex.split(line))


def test_ci_runs_the_readmes_commands():
    lines = set(shell_lines("README.md"))
    ci = {line.strip() for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()}
    assert "python -m pytest" in lines & ci
    assert any(line.startswith("pip install") and '-e ".[dev]"' in line for line in lines)
    assert 'install -e ".[dev]"' in ci, "by the function `install`, with the same arguments"
    assert any("pip install" in line.replace('"', "") and '"$@"' in line for line in ci)
