"""Tests that the Python blocks of the pages run, and that every name of Keras and this library in them exists."""

import re

import keras
import pytest
from encapnet_tf.trainers.data.augmentation.augment import STEPS

import encapnet_tf as en
from tests.docs.pages import ROOT, blocks, inline_code, pages

PAGES = pages()
CONTINUED = ("docs/tutorial.md",)  # pages whose blocks build on one another; on other pages each block runs by itself
ELSEWHERE = ("docs/export.md",)  # pages with a test of their own: test_export_page.py


def programs():
    """Yield the code of every program on the pages, as test parameters."""
    for page, text in PAGES.items():
        codes = blocks(text, "python") if page not in ELSEWHERE else []
        if page in CONTINUED:
            codes = ["\n".join(codes)]
        yield from (pytest.param(code, id=f"{page}-{i}") for i, code in enumerate(codes, start=1))


@pytest.fixture
def _registry():
    """Restore the registry of custom objects, because a block may register a layer."""
    original = dict(keras.saving.get_custom_objects())
    yield
    keras.saving.get_custom_objects().clear()
    keras.saving.get_custom_objects().update(original)


@pytest.mark.ci
@pytest.mark.usefixtures("_registry")
@pytest.mark.parametrize("code", list(programs()))
def test_code_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "<page>", "exec"), {"__name__": "page"})


def exists(name):
    """Return whether a dotted name such as `keras.layers.RandAugment`, `en.load_model` or `layers.CapFC` exists."""
    first, *rest = name.split(".")
    value = {"keras": keras, "en": en}.get(first) or getattr(en, first)
    for part in rest:
        if not hasattr(value, part):
            return False
        value = getattr(value, part)
    return True


def names(text):
    """Yield the dotted names of Keras and of this library in the inline code of a page."""
    roots = "keras|en|ops|layers|losses|metrics|callbacks|models|optimizers|interop"
    for code in inline_code(text):
        if (match := re.match(rf"(?:{roots})(?:\.[A-Za-z]\w*)+", code)) and not match[0].endswith((".py", ".jsonl")):
            yield match[0]


@pytest.mark.parametrize("page", PAGES)
def test_names_exist(page):
    assert [name for name in names(PAGES[page]) if not exists(name)] == []


def test_names_are_found():
    readme = set(names(PAGES["README.md"]))
    assert {"keras.layers.RandAugment", "keras.metrics.F1Score", "en.load_model", "layers.CapFC"} <= readme
    assert not exists("keras.layers.NoSuchLayer")
    assert not exists("layers.NoSuchLayer")


def test_keras_replaces_tensorflow_addons():
    """The README's table: every Keras name in it, and the arguments that every optimizer takes."""
    section = PAGES["README.md"].split("\n## tensorflow-addons\n")[1]
    replacements = re.findall(r"`(keras\.[\w.]+)`", section)
    assert len(replacements) > 12
    assert [name for name in replacements if not exists(name)] == []
    keras.optimizers.SGD(use_ema=True, weight_decay=0.1)


def test_readme_names_every_augmentation_as_this_librarys():
    """The README says that none of the choices of --augment is a Keras layer, and lists them all."""
    names = set(STEPS) - {"none"}
    section = PAGES["README.md"].split("\n## tensorflow-addons\n")[1]
    assert [name for name in names if f"`{name}`" not in section] == []
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "trainers" / "data" / "augmentation").glob("*.py")]
    assert sources
    assert not any(re.search(r"^\s*(import|from) keras", source, re.M) for source in sources)
