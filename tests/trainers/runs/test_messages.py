"""Counts in words, and advice on what to install."""

import configparser
import re
from pathlib import Path

import pytest
from encapnet_tf.trainers.runs.counting import counted
from encapnet_tf.trainers.runs.installation import install_command

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("number", "text"), [(0, "0 errors"), (1, "1 error"), (1797, "1,797 errors")])
def test_counts(number, text):
    assert counted(number, "error") == text


def test_every_message_names_an_extra_that_exists():
    assert install_command("tune") == 'pip install -e ".[tune]" in the folder of the source code'
    files = [path for folder in ("encapnet_tf", "trainers", "export") for path in (ROOT / folder).rglob("*.py")]
    sources = [path.read_text(encoding="utf-8") for path in files]
    names = {name for source in sources for name in re.findall(r"install_command\(['\"](\w+)['\"]\)", source)}
    extras = configparser.ConfigParser()
    extras.read(ROOT / "setup.cfg", encoding="utf-8")
    assert len(names) > 3
    assert names <= set(extras["options.extras_require"])
    assert not [source for source in sources if "encapnet_tf[" in source], "it is on no package index"
