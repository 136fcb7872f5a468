"""The examples in the docstrings run, and everything public has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import encapnet_tf as en


def modules():
    """Every module of the core; the trainers, installed inside the package, have tests of their own."""
    names = [info.name for info in pkgutil.walk_packages(en.__path__, "encapnet_tf.")]
    return ["encapnet_tf"] + [n for n in names if not n.startswith(("encapnet_tf.trainers", "encapnet_tf.export"))]


def public():
    """(name, object) of everything that a user may call."""
    packages = [en.callbacks, en.layers, en.losses, en.models, en.ops, en.optimizers]
    named = {f"{package.__name__}.{name}": getattr(package, name) for package in packages for name in package.__all__}
    functions = (en.load_model, en.interop.load_official_state_dict)
    return named | {f"{function.__module__}.{function.__name__}": function for function in functions}


def test_modules_are_found():
    assert {"encapnet_tf.ops.squash", "encapnet_tf.layers.cap_conv2d", "encapnet_tf.saving"} <= set(modules())


@pytest.mark.parametrize("name", modules())
def test_examples(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} says nothing of what it is for"
    report = []
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(module, name):
        runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("name", public())
def test_everything_public_has_an_example(name):
    documentation = inspect.getdoc(public()[name]) or ""
    assert "Example:" in documentation
    assert ">>> " in documentation


@pytest.mark.parametrize("name", public())
def test_every_argument_is_documented(name):
    thing = public()[name]
    documentation = inspect.getdoc(thing) or ""
    if inspect.isclass(thing) and "__init__" not in vars(thing):
        return
    for argument, parameter in inspect.signature(thing).parameters.items():
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) and argument != "self":
            assert argument in documentation, f"{argument} of {name}"
