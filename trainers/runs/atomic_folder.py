"""A folder whose files are published whole: text and JSON, written aside and then renamed."""

import json
from pathlib import Path

from .atomic_files import replacing
from .errors import UserError
from .lock import locked


class AtomicFolder:
    """A folder whose files are each whole or absent, and which one process at a time may lock.

    Args:
        path: an existing folder.
    """

    lock_file = "lock"

    def __init__(self, path):
        self.path = Path(path)

    def file(self, name: str) -> Path:
        return self.path / name

    def locked(self):
        """Context in which no other process writes this run."""
        return locked(self.file(self.lock_file))

    def replacing(self, name: str):
        """Context that gives a temporary sibling's path to write to; it takes the name when the block ends well."""
        return replacing(self.file(name))

    def write_text(self, name: str, text: str):
        with self.replacing(name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def write_json(self, name: str, value):
        self.write_text(name, json.dumps(value, indent=2) + "\n")

    def write_json_lines(self, name: str, rows):
        self.write_text(name, "".join(json.dumps(row) + "\n" for row in rows))

    def read_json(self, name: str, *keys: str) -> dict:
        """Reads a JSON file of the run.

        Args:
            name: the file.
            *keys: what it must hold.

        Raises:
            UserError: it is missing or damaged, or lacks a key.
        """
        values = self._read(name, json.loads)
        missing = [key for key in keys if key not in values] if isinstance(values, dict) else ["everything"]
        if missing:
            raise UserError(f"{self.file(name)} is damaged: it lacks {', '.join(missing)}.")
        return values

    def read_json_lines(self, name: str) -> list:
        return self._read(name, lambda text: [json.loads(line) for line in text.splitlines()])

    def _read(self, name, parse):
        try:
            return parse(self.file(name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{self.file(name)} is missing from the run.") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{self.file(name)} cannot be read: {error}.") from None
