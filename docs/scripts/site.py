"""MkDocs's hook: brings in the pages from outside of docs/, and turns ```math blocks into MathML, without a network."""

import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"(?<!`)(!?)\[([^\]]*)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def outside_pages():
    """Files of the site that lie outside of docs/: address in the site -> path from the checkout's root."""
    results = [path for suffix in ("md", "png") for path in sorted((ROOT / "results").glob(f"*.{suffix}"))]
    own = [path.relative_to(ROOT).as_posix() for path in results]
    same = ("examples/README.md", "CHANGELOG.md", "CONTRIBUTING.md", *own)
    return {"index.md": "README.md"} | {name: name for name in same}


def on_config(config):
    """Gives ```math blocks, which GitHub shows too, to `mathml`."""
    fence = {"name": "math", "class": "math", "format": mathml}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [fence]
    return config


def mathml(source, language, css_class, options, md, **kwargs):
    """The MathML of a block of LaTeX; every browser of today shows it by itself."""
    spaced = source.replace("\\tag", "\\qquad\\tag")  # the number stands beside the equation
    return f'<p class="{css_class}">{convert(spaced, display="block")}</p>'


def on_files(files, config):
    """Adds the pages from outside of docs/."""
    for address, path in outside_pages().items():
        files.append(File.generated(config, address, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Turns links between files of the checkout into links between pages; a file that is no page loses its link."""
    address = page.file.src_uri
    source = ROOT / outside_pages().get(address, f"docs/{address}")
    pages = {(ROOT / path).resolve(): name for name, path in outside_pages().items()}

    def in_site(match):
        image, text, target, anchor = match.groups()
        path = (source.parent / target).resolve()
        name = pages.get(path)
        if name is None and path.is_relative_to(ROOT / "docs") and path.is_file():
            name = path.relative_to(ROOT / "docs").as_posix()
        if name is None:
            return text
        return f"{image}[{text}]({'../' * address.count('/')}{name}{anchor or ''})"

    return _LINK.sub(in_site, markdown)
