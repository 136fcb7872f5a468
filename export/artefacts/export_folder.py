"""Atomic writing of an exported model's files, so that no reader sees an incomplete export.

The files are written into a draft folder, and moved to their final folder only after the whole export has succeeded.
"""

import os
import re
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path

from ...trainers.runs.atomic_folder import AtomicFolder, locked
from ...trainers.runs.errors import UserError
from ...trainers.runs.text_files import read_text
from .variants import VARIANTS

_DRAFT = ".draft-"
_VERSION_DIGITS = 19  # TF Serving's versions are 64-bit integers
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class ExportFolder:
    """A folder for one exported model: numbered SavedModel versions, TFLite files and a model card.

    Its path is `<folder>/<name>`. TF Serving loads the versions.

    Args:
        folder: of all exports.
        name: of the model, also at the server.

    Raises:
        UserError: the name is not allowed, or TensorFlow cannot read a model from such a folder.
    """

    labels_file = "labels.txt"
    metadata_file = "metadata.json"
    parity_file = "parity.json"
    card_file = "model_card.md"
    versions_folder = "saved_model"
    serving_folder = "serving"
    lock_file = ".lock"
    refused_folder = "refused"  # the draft of the last export that failed its verification

    def __init__(self, folder: str | Path, name: str):
        if not _NAME.fullmatch(name):
            raise UserError(f"A model's name may have letters, digits, '.', '_' and '-' only. Received: --name={name}.")
        self.path, self.name = Path(folder) / name, name
        refuse_brackets(self.path)

    @classmethod
    def versions(cls, path: str | Path) -> list[int]:
        """Return the SavedModel version numbers in an exported model's folder, in ascending order."""
        folder = Path(path) / cls.versions_folder
        entries = folder.iterdir() if folder.is_dir() else ()
        names = [entry.name for entry in entries if entry.name.isdecimal() and entry.name.isascii()]
        return sorted(int(name) for name in names if len(name) < _VERSION_DIGITS)

    @classmethod
    def newest(cls, path: str | Path) -> Path:
        """Return the path of the newest SavedModel version in an exported model's folder.

        Raises:
            UserError: there is none, or TensorFlow cannot read it from there.
        """
        if not (versions := cls.versions(path)):
            raise UserError(
                f"There is no export at {path}: no {cls.versions_folder}/<version> in it. `encapnet export` makes one."
            )
        refuse_brackets(path)
        return Path(path) / cls.versions_folder / str(versions[-1])

    @classmethod
    def class_names(cls, folder: str | Path) -> list[str]:
        """Read the class names of an export or SavedModel in the order of the labels.

        They lie in the folder of an export, or in the assets of a SavedModel.

        Raises:
            UserError: the file of the names is missing or damaged.
        """
        path = Path(folder) / cls.labels_file
        try:
            return read_text(path).removesuffix("\n").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"The class names of the export cannot be read: {error}.") from None

    @contextmanager
    def draft(self):
        """Create a temporary folder for a new export, and delete the folder when the `with` block ends.

        It is a `Draft`. Files that the block published or refused have been moved, so they are kept. Meanwhile the
        export's folder is locked, so that no two exports of one name mix their files.

        Raises:
            UserError: the folder cannot be created, or another process exports to it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"Cannot create the folder {self.path}: {error.strerror}.", status=1) from None
        with locked(self.path / self.lock_file):
            for unfinished in self.path.glob(f"{_DRAFT}*"):  # of killed processes
                shutil.rmtree(unfinished, ignore_errors=True)
            path = self.path / f"{_DRAFT}{secrets.token_hex(4)}"
            try:
                path.mkdir()
                yield Draft(self, path, (self.versions(self.path) or [0])[-1] + 1)
            finally:
                shutil.rmtree(path, ignore_errors=True)


def refuse_brackets(path: str | Path) -> None:
    """Raise UserError if a path contains "[", because TensorFlow cannot load a SavedModel from such a path.

    TensorFlow takes the brackets for a pattern when it reads the variables.
    """
    if "[" in str(path):
        raise UserError(
            f"TensorFlow reads no SavedModel from a path with '[', such as {path}. Rename the folder, or go there and "
            "give a path from there."
        )


class Draft(AtomicFolder):
    """A temporary folder that holds an exported model's files until all files have been verified.

    Args:
        target: the export's folder.
        path: of the draft.
        version: number of the SavedModel when published.
    """

    def __init__(self, target: ExportFolder, path: Path, version: int):
        super().__init__(path)
        self.target, self.version = target, version

    @property
    def saved_model(self) -> Path:
        return self.path / ExportFolder.versions_folder / str(self.version)

    def lite(self, variant: str) -> Path:
        return self.path / f"{self.target.name}{VARIANTS[variant]}.tflite"

    def publish(self) -> Path:
        """Move an exported model's verified files from a temporary folder to their final location.

        Return the export folder.

        The new version of the SavedModel comes last, because a server may load it at once.
        """
        target = self.target.path
        stale = {f"{self.target.name}{suffix}.tflite" for suffix in VARIANTS.values()}
        for name in stale - {entry.name for entry in self.path.iterdir()}:  # of an earlier version
            (target / name).unlink(missing_ok=True)
        shutil.rmtree(target / ExportFolder.refused_folder, ignore_errors=True)
        (target / ExportFolder.versions_folder).mkdir(exist_ok=True)
        for entry in self.path.iterdir():
            if entry.name == ExportFolder.serving_folder:
                shutil.rmtree(target / entry.name, ignore_errors=True)
            if entry.name != ExportFolder.versions_folder:
                os.replace(entry, target / entry.name)
        os.rename(self.saved_model, target / ExportFolder.versions_folder / str(self.version))
        return target

    def refuse(self) -> Path:
        """Move the files of a failed export to a folder named `refused`, where model servers do not look for models.

        They can be inspected there. Return the path of that folder.
        """
        refused = self.target.path / ExportFolder.refused_folder
        shutil.rmtree(refused, ignore_errors=True)
        os.rename(self.path, refused)
        return refused
