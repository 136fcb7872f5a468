"""Extension of griffe, which reads docstrings for the API reference: shows their examples as code blocks."""

import re

import griffe

_EXAMPLE = re.compile(r"^Example:\n\n(>>> .*)\Z", re.M | re.S)


class Examples(griffe.Extension):
    """Extension that turns the text after "Example:" at the end of a docstring into a fenced code block."""

    def on_instance(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = _EXAMPLE.sub(r"**Example**\n\n```pycon\n\1\n```", obj.docstring.value)
