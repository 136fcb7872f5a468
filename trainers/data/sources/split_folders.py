"""Functions that find the training, validation and test folders of a data set, and list folder contents."""

import os
from collections.abc import Collection
from pathlib import Path

from ...runs.errors import UserError
from ..pipeline.encoded import abbreviate

# Names of folders in small letters -> split.
ROLES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# What systems and programs leave in folders, besides names that begin with ".".
_HIDDEN = ("__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information", "lost+found")


def split_folders(root: Path, classes: Collection[str] | None, skipped: dict) -> dict[str, Path]:
    """Return the training, validation and test folders inside the folder of a data set.

    A folder without any of them is itself the training split. A validation folder without a test folder is the test
    split. Names are those of `ROLES`, in capital or small letters.

    Args:
        root: folder of the data set.
        classes: names of the classes, or None if they are not known. A folder of such a name is a class and no
            split, if `root` has folders for all classes.
        skipped: reason -> paths; folders beside the splits are added to it.

    Returns:
        Split -> folder: "train", and "validation" and "test" where they exist.

    Raises:
        UserError: there are two folders for one split, or a validation or test folder but no training folder.
    """
    folders = [entry for entry in list_entries(root) if entry.is_dir(follow_symlinks=False)]
    names = [entry.name for entry in folders]
    class_names = set(classes) if classes is not None and set(classes) <= set(names) else set()
    roles: dict[str, list[str]] = {}
    for name in names:
        if name.lower() in ROLES and name not in class_names:
            roles.setdefault(ROLES[name.lower()], []).append(name)
    if not roles:
        return {"train": root}
    for role, candidates in roles.items():
        if len(candidates) > 1:
            raise UserError(
                f"{root} has {len(candidates)} folders for the {role} split: {', '.join(candidates)}. Keep one; move "
                "or merge the others."
            )
    if "train" not in roles:
        held_out = [name for candidates in roles.values() for name in candidates]
        raise UserError(
            f"{root} has the folder {' and '.join(held_out)} but no training folder beside it. Move the class folders "
            "with the training images into a folder named train. If these names are classes, list the names of all "
            "classes in --classes_file."
        )
    skipped["folder beside the splits"] += [
        entry.path for entry in folders if entry.name.lower() not in ROLES and entry.name not in class_names
    ]
    result = {role: root / candidates[0] for role, candidates in roles.items()}
    if "validation" in result and "test" not in result:
        result["test"] = result.pop("validation")
    return {role: result[role] for role in ("train", "validation", "test") if role in result}


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder and not a symbolic link."""
    return path.is_dir() and not path.is_symlink()


def list_entries(path, skipped: dict | None = None) -> list[os.DirEntry]:
    """Return the files and subfolders of a folder, sorted by name, without hidden ones.

    Args:
        path: the folder.
        skipped: reason -> paths; hidden entries are added to it. None does not note them.

    Raises:
        UserError: the folder cannot be read, or a name in it cannot be decoded as text.
    """
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"Cannot read the folder {printable(path)}: {error.strerror}.") from None
    visible = [entry for entry in entries if not is_hidden(entry.name)]
    if skipped is not None and (hidden := [entry for entry in entries if is_hidden(entry.name)]):
        skipped["hidden file or folder"] += [printable(entry.path) for entry in hidden]
    if undecodable := [entry.path for entry in visible if printable(entry.path) != entry.path]:
        raise UserError(
            f"{len(undecodable)} names in {printable(path)} are no text in UTF-8, or have control characters: "
            f"{abbreviate([printable(name) for name in undecodable])}. Rename them."
        )
    return visible


def printable(path) -> str:
    """Convert a path to printable text, with escapes for control characters and bytes that are not UTF-8."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(character if character >= " " else repr(character)[1:-1] for character in text)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or is a system file such as Thumbs.db, judging by its name."""
    return name.startswith(".") or name.lower() in _HIDDEN
