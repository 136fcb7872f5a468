"""Checkpoints: files that training goes on from. Each is whole or absent, and tells when it was damaged since."""

import hashlib
import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..runs.atomic_files import replacing, set_aside

_HEAD = b"encapnet checkpoint 1 "  # then the SHA-256 of what follows, a newline, and an .npz file


class Damaged(Exception):
    """A checkpoint that cannot be gone on from; its text says why."""


@dataclass(frozen=True)
class Checkpoint:
    """Arrays by group, in a fixed order, and a state for JSON."""

    arrays: dict[str, list[np.ndarray]]
    state: dict

    def write(self, path: Path):
        """Writes the file, whole or not at all."""
        flat = {f"{group}/{i}": array for group, arrays in self.arrays.items() for i, array in enumerate(arrays)}
        body = io.BytesIO()
        np.savez(body, state=np.array(json.dumps(self.state)), **flat)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            file.write(_HEAD + hashlib.sha256(body.getbuffer()).hexdigest().encode() + b"\n")
            file.write(body.getbuffer())

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """Reads a file that `write` made.

        Raises:
            Damaged: it cannot be read, is none, or its checksum is wrong.
        """
        try:
            head, _, body = path.read_bytes().partition(b"\n")
        except OSError as error:
            raise Damaged(error.strerror) from None
        if not head.startswith(_HEAD):
            raise Damaged("it is no checkpoint")
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
    """The checkpoints of a run: a folder of `checkpoint-STEP.ckpt`, the last few of them.

    Beside each lies the best model as it was then, if there was one: a link to the run's file, so it takes no room.

    Args:
        folder: where; made if it is not there.
        keep: how many to keep.
    """

    def __init__(self, folder: Path, keep: int = 3):
        self.folder, self.keep = folder, keep
        folder.mkdir(exist_ok=True)

    def paths(self) -> list[Path]:
        """Oldest first."""
        return sorted(self.folder.glob("checkpoint-*.ckpt"))

    def save(self, step: int, checkpoint: Checkpoint, best_model: Path | None = None) -> Path:
        """Writes a checkpoint and removes the oldest ones.

        Args:
            step: steps made since the beginning of training.
            checkpoint: what to write.
            best_model: the run's best model; its digest is in the state's "best".
        """
        path = self.folder / f"checkpoint-{step:09d}.ckpt"
        if best_model is not None:
            _link(best_model, _best_model_of(path))
        checkpoint.write(path)
        for old in self.paths()[: -self.keep]:
            old.unlink()
            _best_model_of(old).unlink(missing_ok=True)
        return path

    def newest(self, told=print) -> tuple[Path, Checkpoint] | None:
        """The newest checkpoint that is whole. Damaged ones are set aside, and `told` of.

        Returns:
            Its path and itself; None where there is none.
        """
        for path in reversed(self.paths()):
            try:
                checkpoint = Checkpoint.read(path)
                _check_best_model(checkpoint.state, _best_model_of(path))
                return path, checkpoint
            except Damaged as reason:
                aside = set_aside(path, ".damaged")
                told(f"{path} is damaged ({reason}); it is now {aside.name}, and the one before it is used.")
        return None

    def restore_best_model(self, path: Path, best_model: Path):
        """Puts back the run's best model as it was when the checkpoint `path` was written; removes it if none was."""
        kept = _best_model_of(path)
        if kept.exists():
            _link(kept, best_model)
        else:
            best_model.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _best_model_of(path):
    return path.with_suffix(".best.keras")


def _check_best_model(state, path):
    expected = state.get("best", {}).get("digest")
    if expected is not None and (not path.exists() or digest(path) != expected):
        raise Damaged(f"{path.name}, the best model that belongs to it, is missing or has another checksum")


def _link(source, target):
    """`target` becomes another name of `source`'s content, or a copy where the file system has no links."""
    with replacing(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
