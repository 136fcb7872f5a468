"""Reader for the configuration file in the folder of a training run.

Paths of data are resolved from the working directory in which the training began.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory
from .schema import Config

# Settings that say where data are. They may change when a run resumes: data are sometimes moved.
PATHS = ("data_dir", "classes_file")


def read_run_config(run: RunDirectory, data_needed: bool = True) -> Config:
    """Read the configuration of a training run from its folder.

    A relative path is one from the folder in which the training began. If there is nothing at such a path in the
    current folder, it is replaced by the absolute path.

    Args:
        run: the run's folder.
        data_needed: whether the run's data will be loaded.

    Raises:
        UserError: the file is damaged, or data are needed and are not where they were.
    """
    record = run.read_json(RunDirectory.config_file, "config")
    config, began_in = Config.from_json(record["config"]), Path(record.get("working_directory", "."))
    for name in PATHS:
        path = getattr(config, name)
        if path is None or Path(path).expanduser().exists():
            continue
        if (began_in / path).exists():
            found: dict[str, Any] = {name: str(began_in / path)}
            config = replace(config, **found)
        elif data_needed:
            raise UserError(
                f"The run {run.path} read its data from {began_in / path}, where there is nothing now. Move the data "
                f"back, or set {name} in {run.file(RunDirectory.config_file)} to their new place."
            )
    return config
