"""Evaluate a finished run: predictions of its best model on its own data."""

from ..config.schema import Config
from ..runs.run_directory import RunDirectory
from .predictions import PREDICT_BATCH


def evaluate(run: RunDirectory):
    """Runs a finished run's best model.

    Args:
        run: the run's folder.

    Returns:
        `Predictions` on the test and on the validation images.

    Raises:
        UserError: the run, its model or its data are missing or damaged.
    """
    from .predictions import Predictions

    dataset = data_of(run)
    model = run.file(RunDirectory.best_model_file)
    return tuple(
        Predictions.of(model, split, dataset.views, PREDICT_BATCH) for split in (dataset.test, dataset.validation)
    )


def data_of(run):
    from .. import data

    return data.load(Config.from_json(run.read_json(RunDirectory.config_file, "config")["config"]))


def many_crops(run) -> tuple[float, int]:
    """Test accuracy by the mean of the lengths over ten crops (five, where images are not mirrored), and how many."""
    from .predictions import many_crop_lengths, saved_model

    dataset = data_of(run)
    model = saved_model(run.file(RunDirectory.best_model_file))
    lengths = many_crop_lengths(model, dataset.test, dataset.views, PREDICT_BATCH)
    return float((lengths.argmax(axis=1) == dataset.test.labels).mean()), dataset.views.num_crops
