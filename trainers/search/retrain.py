"""Retraining with the best configuration of a hyper-parameter search, once for each of several random seeds."""

import statistics
from dataclasses import replace

from ..config.schema import Config
from ..fitting.unattended import FAILED, previous_outcome, train_or_record_failure
from ..runs.atomic_folder import AtomicFolder
from ..runs.run_directory import RunDirectory

RETRAINED = "best"  # in the search's folder: a run for each seed


def retrain(config: Config, folder: AtomicFolder, *, seeds: int, epochs: int) -> int:
    """Train a network once for each of several random seeds, and return the number of failed training runs.

    Finished runs are skipped.

    Args:
        config: the configuration; its seed and epochs are replaced.
        folder: the search's folder; runs are written to `best/seedN` in it.
        seeds: number of runs; their seeds are 0, 1, ....
        epochs: length of each run.

    Raises:
        UserError: the folder holds a run of one of the seeds with other settings, or another process writes to it.
    """
    failures = 0
    with folder.locked():
        for seed in range(seeds):
            path = folder.path / RETRAINED / f"seed{seed}"
            seed_config = replace(config, seed=seed, epochs=epochs)
            outcome = previous_outcome(path, seed_config)
            if outcome is None:
                print(f"[{seed + 1}/{seeds}] best configuration, seed {seed}", flush=True)
                outcome = train_or_record_failure(seed_config, path)
            failures += outcome == FAILED
    return failures


def read_summaries(folder: AtomicFolder) -> list[dict]:
    """Read the results of retraining with the best configuration of a hyper-parameter search.

    There is one result for each random seed.

    Args:
        folder: the search's folder.
    """
    paths = [path for path in sorted(folder.path.glob(f"{RETRAINED}/seed*")) if "unfinished" not in path.name]
    runs = [RunDirectory(path) for path in paths if (path / RunDirectory.summary_file).exists()]
    keys = ("seed", "test_accuracy", "validation_accuracy", "epochs")
    return [run.read_json(RunDirectory.summary_file, *keys) for run in runs]


def mean_and_deviation(summaries: list[dict], key: str) -> str:
    """Format the mean and standard deviation of several accuracies as text, such as "99.20 ± 0.10 %"."""
    values = [100 * summary[key] for summary in summaries]
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation} %"
