"""Search for the folders of training runs below a folder."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from ..runs.run_directory import RunDirectory

DEPTH = 4  # levels of folders that are searched, as in ablations/TABLE/ROW/SEED below the current folder
_FILES = (RunDirectory.config_file, RunDirectory.summary_file, RunDirectory.metrics_file)  # a run has one of them


@dataclass
class FolderSearch:
    """Recursive search for the folders of training runs.

    Attributes:
        runs: folders with at least one file of a run, in the order of their names.
        others: folders without a run in them, of each the uppermost.
        unreadable: messages about folders that cannot be read.
    """

    runs: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def add(self, folder: Path, depth: int = DEPTH) -> bool:
        """Collect the training runs in a folder and its subfolders.

        Return whether there are any. Hidden folders and the folders inside a run are not searched.

        Args:
            folder: the folder, which may itself be a run's.
            depth: levels of subfolders to search.
        """
        try:
            with os.scandir(folder) as entries:
                folders = {entry.name: entry.is_dir() for entry in entries if not entry.name.startswith(".")}
        except OSError as error:
            self.unreadable.append(f"{folder} cannot be read: {error.strerror}.")
            return True  # nobody knows: it is reported once, not as a folder without runs
        if any(folders.get(name) is False for name in _FILES):
            self.runs.append(folder)
            return True
        earlier = len(self.others)
        names = sorted(name for name, is_folder in folders.items() if is_folder) if depth else []
        has_runs = [self.add(folder / name, depth - 1) for name in names]
        if not any(has_runs):
            self.others[earlier:] = [folder]
        return any(has_runs)
