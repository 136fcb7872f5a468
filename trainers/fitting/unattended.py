"""Training of several models in succession, which skips finished models and continues after failures."""

import traceback
from pathlib import Path

from ..config.schema import Config
from ..runs.atomic_files import set_aside
from ..runs.errors import UserError, reason
from ..runs.run_directory import RunDirectory
from .interruption import StopSignal

FAILURE_FILE = "failed.json"  # in the folder of a run that failed: the reason and the traceback
COMPLETED, FAILED = "completed", "failed"
_INTERRUPTED = 130  # exit status of a command that Ctrl-C ended


def previous_outcome(folder: Path, config: Config) -> str | None:
    """Return the outcome (completed or failed) of the training run in a folder, or None if no run has ended there.

    An unfinished run is renamed, to make room for a new one.

    Args:
        folder: the run's folder, which may not exist.
        config: the configuration that the run must have.

    Returns:
        `COMPLETED`, `FAILED` or None.

    Raises:
        UserError: the folder holds a run with another configuration.
    """
    if not (folder / RunDirectory.config_file).exists():
        if folder.exists():
            set_aside(folder, "-unfinished")
        return None
    earlier = Config.from_json(RunDirectory(folder).read_json(RunDirectory.config_file, "config")["config"])
    if different := [name for name, value in config.__dict__.items() if getattr(earlier, name) != value]:
        values = ", ".join(f"{name}={getattr(earlier, name)} there, {getattr(config, name)} now" for name in different)
        raise UserError(f"{folder} holds a run with other settings: {values}. Choose another --out, or remove it.")
    if (folder / FAILURE_FILE).exists():
        print(f"{folder} failed before; remove it to run it again.", flush=True)
        return FAILED
    if (folder / RunDirectory.summary_file).exists():
        return COMPLETED
    set_aside(folder, "-unfinished")
    return None


def train_or_record_failure(config: Config, folder: Path) -> str:
    """Train one model, and if training fails, write the error to a file instead of raising it.

    Args:
        config: the run's configuration.
        folder: the run's folder, which must not exist.

    Returns:
        `COMPLETED` or `FAILED`.

    Raises:
        UserError: the run was interrupted by SIGTERM or Ctrl-C.
    """
    import keras

    from .train import train

    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        train(config, folder)
        return COMPLETED
    except Exception as error:  # of any kind: later runs must still train
        if isinstance(error, UserError) and error.status in (_INTERRUPTED, StopSignal.status):
            raise
        folder.mkdir(exist_ok=True)
        run, message = RunDirectory(folder), reason(error)
        if not run.file(RunDirectory.config_file).exists():
            run.write_json(RunDirectory.config_file, {"config": config.to_json()})
        run.write_json(FAILURE_FILE, {"reason": message, "traceback": traceback.format_exc()})
        print(f"failed: {message}", flush=True)
        return FAILED
    finally:
        keras.backend.clear_session()
