"""Griffe extension that shows the examples in docstrings as code blocks in the API reference."""

import re

import griffe

_EXAMPLE = re.compile(r"^Example:\n\n(>>> .*)\Z", re.M | re.S)


class Examples(griffe.Extension):
    """Griffe extension that turns the example at the end of a docstring into a fenced code block.

    The example is the text after "Example:".
    """

    def on_instance(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = _EXAMPLE.sub(r"**Example**\n\n```pycon\n\1\n```", obj.docstring.value)
