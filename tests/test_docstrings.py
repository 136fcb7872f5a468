"""Docstrings of the public API: sections, shapes and examples."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import textwrap

import keras
import pytest

import encapnet_tf as en

SECTIONS = ("Args", "Call arguments", "Attributes", "Returns", "Raises", "Example")
SHAPE = re.compile(
    r"\([\w.* /+-]+,[^()]*\)|\baxis\b"
)  # (batch, classes), (..., dim); or the axis of a tensor of any shape


def modules():
    """Return the names of the core's modules; the trainers and the export have tests of their own."""
    names = [info.name for info in pkgutil.walk_packages(en.__path__, "encapnet_tf.")]
    return ["encapnet_tf"] + [n for n in names if not n.startswith(("encapnet_tf.trainers", "encapnet_tf.export"))]


def public():
    """Return everything that a user may call: name -> class or function."""
    packages = [en.callbacks, en.explain, en.layers, en.losses, en.metrics, en.models, en.ops, en.optimizers]
    objects = {f"{package.__name__}.{name}": getattr(package, name) for package in packages for name in package.__all__}
    functions = (en.attach_feedback, en.strip_feedback, en.load_model, en.interop.load_official_state_dict)
    return objects | {f"{function.__module__}.{function.__name__}": function for function in functions}


PUBLIC = public()


def sections(documentation: str) -> dict[str, str]:
    """Return the sections of a docstring in Google's style: heading -> dedented text."""
    parts = re.split(rf"^({'|'.join(SECTIONS)}):[ ]*$", documentation, flags=re.M)
    return {heading: textwrap.dedent(text) for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


def entries(section: str) -> list[str]:
    """Return the names that a section such as Args documents: "a, b: text" documents a and b."""
    lists = re.findall(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?:", section, re.M)
    return [name.lstrip("*") for names in lists for name in names.split(", ")]


def documentation(name: str) -> str:
    return inspect.getdoc(PUBLIC[name]) or ""


def parameters(thing) -> dict[str, inspect.Parameter]:
    """Return the parameters of a call; none for a class that inherits its constructor."""
    if inspect.isclass(thing) and "__init__" not in vars(thing):
        return {}
    return dict(inspect.signature(thing).parameters)


def missing(documentation: str, names) -> list[str]:
    return [name for name in names if name not in entries(sections(documentation).get("Args", ""))]


def raises(thing) -> bool:
    """Return whether the function, or the class's constructor, has a `raise` statement of its own."""
    function = thing.__init__ if inspect.isclass(thing) and "__init__" in vars(thing) else thing
    if inspect.isclass(function):
        return False
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(tree))


def test_modules_are_found():
    assert {"encapnet_tf.ops.squash", "encapnet_tf.layers.cap_conv2d", "encapnet_tf.saving"} <= set(modules())


@pytest.mark.ci
@pytest.mark.parametrize("name", modules())
def test_examples_run(name):
    if (backend := name.rpartition(".on_")[2]) in ("jax", "torch"):
        pytest.importorskip(backend)
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring."
    report = []
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(module, name):
        runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("name", PUBLIC)
def test_first_line_is_a_sentence(name):
    first, *rest = documentation(name).splitlines()
    assert re.fullmatch(r"\w.+\.", first)
    assert rest[0] == "", "The first line stands alone."


@pytest.mark.parametrize("name", PUBLIC)
def test_every_parameter_is_documented(name):
    keyword = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    names = [n for n, parameter in parameters(PUBLIC[name]).items() if parameter.kind not in keyword]
    assert missing(documentation(name), names) == []


@pytest.mark.parametrize("name", PUBLIC)
def test_no_other_parameter_is_documented(name):
    accepted = inspect.signature(PUBLIC[name]).parameters
    if any(parameter.kind == parameter.VAR_KEYWORD for parameter in accepted.values()):
        return
    assert set(entries(sections(documentation(name)).get("Args", ""))) <= set(accepted)


def returns_a_value(thing) -> bool:
    """Return whether a function has a `return` with a value, which every layer's `call` has."""
    if not inspect.isfunction(thing):
        return True
    tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    return any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(tree))


@pytest.mark.parametrize("name", PUBLIC)
def test_results_and_errors_are_documented(name):
    thing, text = PUBLIC[name], documentation(name)
    if inspect.isfunction(thing) or issubclass(thing, keras.Layer):
        documented = "Returns" in sections(text) or text.startswith("Return ")
        assert documented or not returns_a_value(thing), "no section Returns"
    assert "Raises" in sections(text) or not raises(thing), "no section Raises"


@pytest.mark.parametrize("name", [name for name in PUBLIC if ".ops." in name or ".layers." in name])
def test_shapes_are_named(name):
    headings = ("Call arguments",) if inspect.isclass(PUBLIC[name]) else ("Args", "Returns")
    texts = [sections(documentation(name)).get(heading, "") for heading in (*headings, "Attributes")]
    assert any(SHAPE.search(text) for text in texts)


@pytest.mark.parametrize("name", PUBLIC)
def test_an_example_is_documented(name):
    assert ">>> " in sections(documentation(name)).get("Example", "")


TOY = """Return the sum.

Args:
    first, second: numbers; x is not one of them.
    *others: more numbers, (n,).

Returns:
    The sum.
"""


def test_sections_are_read():
    assert list(sections(TOY)) == ["Args", "Returns"]
    assert entries(sections(TOY)["Args"]) == ["first", "second", "others"]
    assert missing(TOY, ["first", "others", "x"]) == ["x"]
    assert raises(entries) is False
    assert raises(en.ops.sinkhorn) is True
