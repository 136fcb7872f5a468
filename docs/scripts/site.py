"""MkDocs hooks that add pages from outside of docs/ to the website and convert LaTeX blocks to MathML.

The blocks begin with ```math. The code of every example has a page of its own.
"""

import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File

from docs.scripts.example_pages import example_page

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"(?<!`)(!?)\[([^\]]*)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def outside_pages():
    """Return a dictionary from documentation page to source file, for the source files outside of docs/."""
    results = [path for suffix in ("md", "png") for path in sorted((ROOT / "results").glob(f"*.{suffix}"))]
    paths = ["examples/README.md", "CHANGELOG.md", "CONTRIBUTING.md"]
    paths += [path.relative_to(ROOT).as_posix() for path in results]
    return {"index.md": "README.md"} | {path: path for path in paths}


def example_pages():
    """Return a dictionary that maps each example script or notebook to the Markdown page that shows its code."""
    paths = [path for suffix in ("py", "ipynb") for path in sorted((ROOT / "examples").glob(f"*.{suffix}"))]
    return {path: f"examples/{path.stem}.md" for path in paths}


def on_config(config):
    """Configure MkDocs to convert the LaTeX code blocks of Markdown pages to MathML equations.

    They begin with ```math. GitHub shows them as equations too.
    """
    fence = {"name": "math", "class": "math", "format": mathml}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [fence]
    return config


def mathml(source, language, css_class, options, md, **kwargs):
    """Convert a block of LaTeX to MathML, which browsers show without JavaScript."""
    latex = source.replace("\\tag", "\\qquad\\tag")  # space between the equation and its number
    return f'<p class="{css_class}">{convert(latex, display="block")}</p>'


def on_files(files, config):
    """Add the pages whose source is not in the docs/ folder to the website that MkDocs builds."""
    for address, path in outside_pages().items():
        files.append(File.generated(config, address, abs_src_path=str(ROOT / path)))
    for path, address in example_pages().items():
        files.append(File.generated(config, address, content=example_page(path)))
        files.append(File.generated(config, f"examples/{path.name}", abs_src_path=str(path)))  # to download
    return files


def on_page_markdown(markdown, page, config, files):
    """Replace links to repository files in a documentation page with links to website pages.

    A link to a file that is no page of the website becomes plain text.
    """
    address = page.file.src_uri
    if address in example_pages().values():
        return markdown
    source = ROOT / outside_pages().get(address, f"docs/{address}")
    pages = {(ROOT / path).resolve(): name for name, path in outside_pages().items()} | example_pages()

    def page_link(match):
        image, text, target, anchor = match.groups()
        path = (source.parent / target).resolve()
        name = pages.get(path)
        if name is None and path.is_relative_to(ROOT / "docs") and path.is_file():
            name = path.relative_to(ROOT / "docs").as_posix()
        if name is None:
            return text
        return f"{image}[{text}]({'../' * address.count('/')}{name}{anchor or ''})"

    return _LINK.sub(page_link, markdown)
