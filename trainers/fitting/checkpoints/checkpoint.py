"""Checkpoint files from which training can resume, written atomically and verified by a checksum."""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...runs.atomic_files import replacing, set_aside

_HEAD = b"encapnet checkpoint 1 "  # then the SHA-256 of the body in hexadecimal, a newline, and the body: an .npz file


class Damaged(Exception):
    """Exception raised when a checkpoint file is damaged or unreadable.

    Its text is the reason.
    """


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint file, such as the model weights and the epoch number.

    `arrays` holds weights and other variables in groups, and `state` holds JSON values. The arrays of
    a group are in a fixed order.
    """

    arrays: dict[str, list[np.ndarray]]
    state: dict

    def write(self, path: Path):
        """Write a checkpoint file atomically, so that an interruption leaves no partial file."""
        flat: dict = {f"{group}/{i}": array for group, arrays in self.arrays.items() for i, array in enumerate(arrays)}
        body = io.BytesIO()
        np.savez(body, state=np.array(json.dumps(self.state)), **flat)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            file.write(_HEAD + hashlib.sha256(body.getbuffer()).hexdigest().encode() + b"\n")
            file.write(body.getbuffer())

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint file and verify its checksum.

        Raises:
            Damaged: the file cannot be read, is not a checkpoint, or has another checksum.
        """
        try:
            head, _, body = path.read_bytes().partition(b"\n")
        except OSError as error:
            raise Damaged(error.strerror) from None
        if not head.startswith(_HEAD):
            raise Damaged("it is not a checkpoint")
        if head.removeprefix(_HEAD).decode(errors="replace") != hashlib.sha256(body).hexdigest():
            raise Damaged("its checksum is wrong")
        groups: dict = {}
        with np.load(io.BytesIO(body), allow_pickle=False) as flat:
            state = json.loads(str(flat["state"]))
            for name in flat.files:
                if name != "state":
                    groups.setdefault(name.split("/")[0], []).append(flat[name])
        return cls(groups, state)


class Checkpoints:
    """Folder with the most recent checkpoints of a training run.

    Beside each checkpoint lies the run's best model of that moment, as a hard link where the file system allows one, so
    that it takes no space of its own.

    Args:
        folder: the folder; `save` creates it.
        keep: number of checkpoints to keep.
    """

    def __init__(self, folder: Path, keep: int = 3):
        self.folder, self.keep = folder, keep

    def paths(self) -> list[Path]:
        """Return the paths of the run's checkpoint files, oldest first."""
        return sorted(self.folder.glob("checkpoint-*.ckpt"))

    def save(self, step: int, checkpoint: Checkpoint, best_model: Path | None = None) -> Path:
        """Write a new checkpoint file, and delete the oldest checkpoint files beyond the number to keep.

        Args:
            step: number of training steps before the checkpoint.
            checkpoint: the content of the file.
            best_model: the file of the run's best model; the checkpoint's state holds its digest under "best".
        """
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"checkpoint-{step:09d}.ckpt"
        if best_model is not None:
            _link(best_model, best_model_of(path))
        checkpoint.write(path)
        for old in self.paths()[: -self.keep]:
            old.unlink()
            best_model_of(old).unlink(missing_ok=True)
        return path

    def newest(
        self, report: Callable[[str], None] = print, *, rename_damaged: bool = True
    ) -> tuple[Path, Checkpoint] | None:
        """Return the path and content of the newest undamaged checkpoint, or None if there is none.

        Args:
            report: function that receives a line about each damaged checkpoint.
            rename_damaged: whether damaged checkpoints are renamed; otherwise the folder is only read.
        """
        for path in reversed(self.paths()):
            try:
                checkpoint = Checkpoint.read(path)
                _check_best_model(checkpoint.state, best_model_of(path))
                return path, checkpoint
            except Damaged as reason:
                new_name = f" it is now {set_aside(path, '.damaged').name}, and" if rename_damaged else ""
                report(f"{path} is damaged ({reason});{new_name} the checkpoint before it is used.")
        return None

    def restore_best_model(self, path: Path, best_model: Path):
        """Restore the best model's file from the copy that was saved with a checkpoint.

        The file is removed if the checkpoint has no copy.

        Args:
            path: the checkpoint file.
            best_model: the file of the run's best model.
        """
        saved_best_model = best_model_of(path)
        if saved_best_model.exists():
            _link(saved_best_model, best_model)
        else:
            best_model.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """Return the SHA-256 digest of a file as a hexadecimal string."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def best_model_of(path: Path) -> Path:
    """Return the path of the best-model file that was saved with a checkpoint.

    It holds the best model up to the checkpoint. The file exists from the end of the first epoch on.
    """
    return path.with_suffix(".best.keras")


def _check_best_model(state: dict, path: Path) -> None:
    expected = state.get("best", {}).get("digest")
    if expected is not None and (not path.exists() or digest(path) != expected):
        raise Damaged(f"{path.name}, the best model that belongs to it, is missing or has another checksum")


def _link(source: Path, target: Path) -> None:
    """Create a hard link to a file, or copy the file if the file system does not support hard links."""
    with replacing(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
