"""Expansion of folders and glob patterns in command-line arguments into lists of image files."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from ...trainers.runs.errors import UserError


def expand_patterns(arguments: Sequence[str]) -> list[str]:
    """Replace each glob pattern in a list of paths by the matching files and folders, sorted by name.

    Shells do so themselves unless the pattern is quoted. A path that exists is no pattern, so names may have brackets.
    `**` stands for any number of folders; hidden files match only patterns that begin with a dot.

    Raises:
        UserError: nothing matches a pattern.
    """
    paths: list[str] = []
    for argument in arguments:
        if os.path.lexists(argument) or not glob.has_magic(argument):
            paths.append(argument)
            continue
        matches = sorted(glob.glob(os.path.expanduser(argument), recursive=True))
        if not matches:
            raise UserError(f"No file matches {argument}.")
        paths += matches
    return list(dict.fromkeys(paths))


def image_files(paths: Sequence[str]) -> list[str]:
    """Replace each folder in a list of paths by the sorted image files that the folder and its subfolders contain.

    Hidden files and folders are left out.

    Raises:
        UserError: a folder has no images.
    """
    from ...trainers.data.pipeline.image_formats import UNREADABLE_SUFFIXES
    from ...trainers.data.sources.folder import SUFFIXES

    endings = {*SUFFIXES, *UNREADABLE_SUFFIXES}  # an image that cannot be decoded is named rather than left out
    files: list[str] = []
    for path in paths:
        if not Path(path).is_dir():
            files.append(path)
            continue
        found = sorted(str(file) for file in _files_below(Path(path)) if file.suffix.lower() in endings)
        if not found:
            raise UserError(f"The folder {path} has no images. Expected files that end in {', '.join(SUFFIXES)}.")
        files += found
    return list(dict.fromkeys(files))


def _files_below(folder: Path) -> list[Path]:
    """Return all files in a folder and its subfolders, except for hidden files and files in hidden folders."""
    from ...trainers.data.sources.split_folders import is_hidden

    paths = folder.rglob("*")
    visible = (path for path in paths if not any(map(is_hidden, path.relative_to(folder).parts)))
    return [path for path in visible if path.is_file()]
