"""Griffe extensions for the API reference, which format examples as code blocks and list exported names."""

import re

import griffe

_EXAMPLE = re.compile(r"^Example:\n\n(>>> .*)\Z", re.M | re.S)
_EXPORT = re.compile(r"^from [\w.]+ import (\w+) as \1$", re.M)


class Examples(griffe.Extension):
    """Griffe extension that turns the example at the end of a docstring into a fenced code block.

    The example is the text after "Example:".
    """

    def on_instance(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = _EXAMPLE.sub(r"**Example**\n\n```pycon\n\1\n```", obj.docstring.value)


class Exports(griffe.Extension):
    """Griffe extension that reads a package's public names from the import statements in `__init__.py`.

    Griffe reads names from an `__all__` that is written out only; `encapnet_tf.layers` makes its own from its
    lines `from module import Name as Name`.
    """

    def on_module_members(self, *, mod, **kwargs):
        if mod.is_init_module and not mod.exports:
            mod.exports = sorted(_EXPORT.findall(mod.source))
