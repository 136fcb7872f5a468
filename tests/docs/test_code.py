"""Every Python block of the pages runs, and every name of Keras's and ours that they mention exists."""

import re

import keras
import pytest

import encapnet_tf as en
from tests.docs.pages import blocks, inline_code, pages

PAGES = pages()
CONTINUED = ("docs/tutorial.md",)  # pages whose blocks continue one another; elsewhere each stands for itself


def pieces():
    """(id, code) of what runs alone."""
    for page, text in PAGES.items():
        found = blocks(text, "python")
        if page in CONTINUED:
            found = ["\n".join(found)]
        yield from (pytest.param(code, id=f"{page}-{i}") for i, code in enumerate(found, start=1))


@pytest.fixture
def _registry():
    """A block may define a layer; the next test does not know it."""
    before = dict(keras.saving.get_custom_objects())
    yield
    keras.saving.get_custom_objects().clear()
    keras.saving.get_custom_objects().update(before)


@pytest.mark.usefixtures("_registry")
@pytest.mark.parametrize("code", list(pieces()))
def test_code_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "<page>", "exec"), {"__name__": "page"})


def found(name):
    """Whether a dotted name like `keras.layers.RandAugment`, `en.load_model` or `layers.CapFC` exists."""
    first, *rest = name.split(".")
    thing = {"keras": keras, "en": en}.get(first) or getattr(en, first)
    for part in rest:
        if not hasattr(thing, part):
            return False
        thing = getattr(thing, part)
    return True


def names(text):
    ours = "|".join(("keras", "en", "ops", "layers", "losses", "callbacks", "models", "optimizers", "interop"))
    for code in inline_code(text):
        if (match := re.match(rf"(?:{ours})(?:\.[A-Za-z]\w*)+", code)) and not match[0].endswith(".py"):
            yield match[0]


@pytest.mark.parametrize("page", PAGES)
def test_names_exist(page):
    assert [name for name in names(PAGES[page]) if not found(name)] == []


def test_names_are_found():
    readme = set(names(PAGES["README.md"]))
    assert {"keras.layers.RandAugment", "keras.metrics.F1Score", "en.load_model", "layers.CapFC"} <= readme
    assert not found("keras.layers.NoSuchLayer")
    assert not found("layers.NoSuchLayer")


def test_keras_serves_what_tensorflow_addons_did():
    """The README's table: every Keras name in it, and the arguments that all optimizers take."""
    section = PAGES["README.md"].split("\n## tensorflow-addons\n")[1]
    mentioned = re.findall(r"`(keras\.[\w.]+)`", section)
    assert len(mentioned) > 12
    assert [name for name in mentioned if not found(name)] == []
    keras.optimizers.SGD(use_ema=True, weight_decay=0.1)
