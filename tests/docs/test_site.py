"""Tests that the website of the documentation builds, and loads, without a network."""

import os
import re
import subprocess
import sys

import pytest
import yaml

import encapnet_tf as en
from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    no_network = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    process = subprocess.run(command, cwd=ROOT, env={**os.environ, **no_network}, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
    return folder


@pytest.mark.ci
def test_nothing_is_loaded_from_a_network(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r'<(?:script|img|iframe)[^>]* src="?(?:https?:)?//', text), page
        assert not re.search(r'<link[^>]*rel="?(?:stylesheet|preconnect)"?[^>]*href="?(?:https?:)?//', text), page


@pytest.mark.ci
def test_equations_are_mathml(site):
    text = (site / "theory" / "index.html").read_text(encoding="utf-8")
    assert text.count("<math") >= 12
    assert all(f"<mtext>({number})</mtext>" in text for number in range(1, 12))
    assert "\\frac" not in text


@pytest.mark.ci
def test_everything_public_has_its_reference(site):
    modules = (en, en.layers, en.models, en.losses, en.callbacks, en.optimizers, en.ops, en.interop)
    for module in modules:
        text = (site / "api" / module.__name__.split(".")[-1] / "index.html").read_text(encoding="utf-8")
        documented = {name.rsplit(".", 1)[-1] for name in re.findall(r'id="(encapnet_tf\.[\w.]+)"', text)}
        public = getattr(module, "__all__", ["load_official_state_dict"])
        assert [name for name in public if callable(getattr(module, name)) and name not in documented] == []
        assert "<blockquote>" not in text, "an example is not a code block"


def test_citation():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == en.__version__
    paper = citation["preferred-citation"]
    assert (paper["title"], paper["year"]) == ("Neural Network Encapsulation", 2018)
    assert [author["family-names"] for author in paper["authors"]] == ["Li", "Guo", "Dai", "Ouyang", "Wang"]
