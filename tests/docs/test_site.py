"""Tests that the website of the documentation builds, and loads, without a network."""

import os
import re
import subprocess
import sys

import pytest
import yaml

import encapnet_tf as en
from tests.docs.pages import ROOT, blocks


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
    libraries = (en.layers, en.models, en.losses, en.metrics, en.callbacks, en.optimizers, en.ops)
    modules = (en, *libraries, en.explain, en.interop)
    for module in modules:
        text = (site / "api" / module.__name__.split(".")[-1] / "index.html").read_text(encoding="utf-8")
        documented = {name.rsplit(".", 1)[-1] for name in re.findall(r'id="(encapnet_tf\.[\w.]+)"', text)}
        public = getattr(module, "__all__", ["load_official_state_dict"])
        assert [name for name in public if callable(getattr(module, name)) and name not in documented] == []
        assert "<blockquote>" not in text, "an example is not a code block"


@pytest.mark.ci
def test_examples_reach_their_code_and_their_file(site):
    index = (site / "examples" / "index.html").read_text(encoding="utf-8")
    files = [path for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".ipynb")]
    assert len(files) > 7
    for file in files:
        assert f'<a href="{file.stem}/">{file.name}</a>' in index
        page = (site / "examples" / file.stem / "index.html").read_text(encoding="utf-8")
        assert f'href="../{file.name}"' in page
        assert 'class="nn">encapnet_tf' in page, "its code is not on the page"
        assert (site / "examples" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.ci
def test_long_lines_of_code_are_shown_whole(site):
    (style,) = site.glob("site*.css")
    assert re.search(r"pre > code \{[^}]*white-space: pre-wrap", style.read_text(encoding="utf-8"))
    assert 'href="site.css"' in (site / "index.html").read_text(encoding="utf-8")


def test_citation():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == en.__version__
    paper = citation["preferred-citation"]
    assert (paper["title"], paper["year"]) == ("Neural Network Encapsulation", 2018)
    assert [author["family-names"] for author in paper["authors"]] == ["Li", "Guo", "Dai", "Ouyang", "Wang"]
    (bibtex,) = blocks((ROOT / "README.md").read_text(encoding="utf-8"), "bibtex")
    assert f"title     = {{{paper['title']}}}" in bibtex
    names = " and ".join(f"{author['family-names']}, {author['given-names']}" for author in paper["authors"])
    assert f"author    = {{{names}}}" in bibtex
    assert f"version = {{{en.__version__}}}" in bibtex
