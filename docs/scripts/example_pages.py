"""Conversion of example scripts and notebooks to Markdown pages of the website."""

import ast
import json
from pathlib import Path


def example_page(path: Path) -> str:
    """Convert an example script or notebook to a Markdown page with a download link.

    Args:
        path: a Python script, or a Jupyter notebook without outputs.
    """
    code = path.read_text(encoding="utf-8")
    body = _notebook(json.loads(code)) if path.suffix == ".ipynb" else _script(code)
    return f"{body}\n\n[Download {path.name}]({path.name})\n"


def _script(code: str) -> str:
    """Convert a Python script to Markdown, with the first docstring line as the heading."""
    heading = (ast.get_docstring(ast.parse(code)) or "").splitlines()[0].rstrip(".")
    return f"# {heading}\n\n{_code(code)}"


def _notebook(notebook: dict) -> str:
    """Convert a notebook to Markdown, with code cells as code blocks."""
    sources = [("".join(cell["source"]), cell["cell_type"]) for cell in notebook["cells"]]
    return "\n\n".join(_code(source) if kind == "code" else source for source, kind in sources)


def _code(source: str) -> str:
    return f"```python\n{source.rstrip()}\n```"
