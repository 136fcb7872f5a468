"""The folder of an export: what is made goes into a draft beside it, and takes its place whole or not at all."""

import os
import re
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path

from ...trainers.runs.atomic_folder import AtomicFolder
from ...trainers.runs.errors import UserError
from .lite import VARIANTS

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class ExportFolder:
    """`<folder>/<name>`: versions of a SavedModel, as TF Serving wants them, and the newest one's other files.

    Args:
        folder: of all exports.
        name: the model's, also at the server.

    Raises:
        UserError: the name is not allowed.
    """

    labels_file = "labels.txt"
    metadata_file = "metadata.json"
    parity_file = "parity.json"
    card_file = "model_card.md"
    versions_folder = "saved_model"
    serving_folder = "serving"
    refused_folder = "refused"  # the last export that was not equal to its model

    def __init__(self, folder, name: str):
        if not _NAME.fullmatch(name):
            raise UserError(f"A model's name may have letters, digits, '.', '_' and '-' only. Received: --name={name}.")
        self.path, self.name = Path(folder) / name, name

    @classmethod
    def versions(cls, path) -> list:
        """Numbers of the versions of an export, oldest first."""
        folder = Path(path) / cls.versions_folder
        found = folder.iterdir() if folder.is_dir() else ()
        return sorted(int(entry.name) for entry in found if entry.name.isdecimal())

    @classmethod
    def newest(cls, path) -> Path:
        """The newest SavedModel of an export.

        Raises:
            UserError: there is none.
        """
        if not (versions := cls.versions(path)):
            raise UserError(f"There is no export at {path}: no {cls.versions_folder}/<version> in it.")
        return Path(path) / cls.versions_folder / str(versions[-1])

    @contextmanager
    def draft(self):
        """Gives a `Draft`; it is thrown away unless the block publishes or refuses it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            path = self.path / f".draft-{secrets.token_hex(4)}"
            path.mkdir()
        except OSError as error:
            raise UserError(f"Cannot make the folder {self.path}: {error.strerror}.") from None
        try:
            yield Draft(self, path, (self.versions(self.path) or [0])[-1] + 1)
        finally:
            shutil.rmtree(path, ignore_errors=True)


class Draft(AtomicFolder):
    """An export in the making.

    Attributes:
        path: its folder.
        version: number it will have.
    """

    def __init__(self, target: ExportFolder, path: Path, version: int):
        super().__init__(path)
        self.target, self.version = target, version

    @property
    def saved_model(self) -> Path:
        return self.path / ExportFolder.versions_folder / str(self.version)

    def lite(self, variant: str) -> Path:
        return self.path / f"{self.target.name}{VARIANTS[variant]}.tflite"

    def publish(self):
        """Moves everything into place, the new version of the SavedModel last: a server may be watching."""
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
        """Keeps the draft where its author can look into it and no server serves it."""
        refused = self.target.path / ExportFolder.refused_folder
        shutil.rmtree(refused, ignore_errors=True)
        os.rename(self.path, refused)
        return refused
