"""Search for the original files of a public data set in a folder and its subfolders."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...config.dataset_names import name_key
from ...runs.errors import UserError
from ..pipeline.dataset import SourceDataset

DEPTH = 2  # folders below the one that is searched, such as those of data/FashionMNIST/raw


@dataclass(frozen=True)
class Download:
    """Path of a public data set's original files on disk, with a function that reads the files.

    Attributes:
        path: the archive, or the folder of the files.
        missing: names of the files that are not there.
        read: function that reads the files.
    """

    path: Path
    missing: tuple[str, ...]
    read: Callable[[], SourceDataset]


@dataclass(frozen=True)
class Original:
    """Original files of a public data set: file names, download page, and a function that finds the files.

    Attributes:
        title: name of the data set and its form, for messages.
        files: names of the files, for messages.
        page: address to download the files from.
        find: function of a folder, or of a file, that returns the downloads in it without those in folders below. If
            several are complete, the first is read.
        rivals: data sets whose files have the same names. A folder named after one of them is not searched.
        default_folder: folder to search if the user names none, such as that of a Debian package.
        hint: another way to get the files, for messages.
    """

    title: str
    files: str
    page: str
    find: Callable[[Path], list[Download]]
    rivals: tuple[str, ...] = ()
    default_folder: Path | None = None
    hint: str = ""


def find_download(name: str, original: Original, data_dir: Path) -> Download | None:
    """Search a folder and two levels of subfolders for the original files of a data set.

    The result is None if there are none. Complete downloads go first, then the least deep. Where another data set has
    files of the same names, other folders are searched only if neither the given one nor those with the data set's name
    hold such files.

    Args:
        name: the data set's name.
        original: the form of its files.
        data_dir: folder to search, or a file.

    Raises:
        UserError: some of the files are missing, or several folders hold files that may be the data set's.
    """
    ranked = [
        ((bool(original.rivals) and not named, len(download.missing), depth), download)
        for depth, named, place in _places(name, original, data_dir)
        for download in _downloads(original, place)
    ]
    if not ranked:
        return None
    best, download = min(ranked, key=lambda entry: entry[0])  # the first of equals
    if download.missing:
        raise UserError(
            f"--dataset={name}: {', '.join(download.missing)} is not in {download.path}, where other files of "
            f"{original.title} are. Download what is missing from {original.page}, or name another folder by "
            "--data_dir."
        )
    folders = sorted({_folder_of(other.path) for rank, other in ranked if rank == best})
    if original.rivals and len(folders) > 1:
        raise UserError(
            f"--dataset={name}: each of {', '.join(map(str, folders))} holds files that may be those of "
            f"{original.title}. Name one of them by --data_dir=FOLDER."
        )
    return download


def _downloads(original: Original, place: Path) -> list[Download]:
    try:
        return original.find(place)
    except OSError as error:
        raise UserError(f"Cannot read the folder {place}: {error.strerror}.") from None


def _folder_of(path: Path) -> Path:
    return path.parent if path.is_file() else path


def _places(name: str, original: Original, data_dir: Path) -> Iterator[tuple[int, bool, Path]]:
    """Yield every folder to search for the original files of a data set, together with the depth of the folder.

    A file in place of the folder is yielded alone.

    Each comes after its depth, and after whether the user named it or a folder on the way has the data set's name.
    """
    rivals = {name_key(rival) for rival in original.rivals if rival != name}
    level = [(False, data_dir)] if data_dir.exists() else []
    for depth in range(DEPTH + 1):
        for named, place in level:
            yield depth, named or depth == 0, place
        level = [
            (named or name_key(folder.name) == name_key(name), folder)
            for named, place in level
            for folder in _folders_in(place)
            if name_key(folder.name) not in rivals
        ]


def _folders_in(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    try:
        return sorted(
            Path(entry.path) for entry in os.scandir(place) if entry.is_dir() and not entry.name.startswith(".")
        )
    except OSError as error:
        raise UserError(f"Cannot read the folder {place}: {error.strerror}.") from None
