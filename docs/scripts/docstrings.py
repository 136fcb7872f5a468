"""Extension of the API reference's reader, griffe: examples in docstrings become code blocks."""

import re

import griffe

_EXAMPLE = re.compile(r"^Example:\n\n(>>> .*)\Z", re.M | re.S)


class Examples(griffe.Extension):
    """Fences what follows "Example:" at the end of a docstring."""

    def on_instance(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = _EXAMPLE.sub(r"**Example**\n\n```pycon\n\1\n```", obj.docstring.value)
