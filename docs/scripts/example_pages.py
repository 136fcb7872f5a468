"""Pages of the website that show the code of the examples: scripts and notebooks as Markdown."""

import ast
import json
from pathlib import Path


def example_page(path: Path) -> str:
    """Return a Markdown page with the code of an example and a link to its file, which lies beside the page.

    Args:
        path: a Python script, or a Jupyter notebook without outputs.
    """
    code = path.read_text(encoding="utf-8")
    body = _notebook(json.loads(code)) if path.suffix == ".ipynb" else _script(code)
    return f"{body}\n\n[Download {path.name}]({path.name})\n"


def _script(code: str) -> str:
    """Return the Markdown of a Python script: its docstring's first line as the heading, and all of its code."""
    heading = (ast.get_docstring(ast.parse(code)) or "").splitlines()[0].rstrip(".")
    return f"# {heading}\n\n{_code(code)}"


def _notebook(notebook: dict) -> str:
    """Return the Markdown of a notebook: its texts, and the code of its cells as code blocks."""
    sources = [("".join(cell["source"]), cell["cell_type"]) for cell in notebook["cells"]]
    return "\n\n".join(_code(source) if kind == "code" else source for source, kind in sources)


def _code(source: str) -> str:
    return f"```python\n{source.rstrip()}\n```"
