"""`encapnet evaluate RUN`: the reported accuracy again, from the saved model."""

from .config import Config
from .errors import UserError
from .run_directory import RunDirectory
from .train import PREDICT_BATCH


def add_arguments(parser):
    parser.add_argument("run", help="Folder of a finished run, such as runs/digits/20261122-182440.")


def main(args):
    """The verb: evaluates a run's best model on the test and validation images and compares with the summary."""
    run = RunDirectory.open(args.run)
    summary = run.read_json(RunDirectory.summary_file, "test_errors", "test_accuracy")
    test, validation = evaluate(run)
    print(f"test accuracy        {test.accuracy:.2%} ({test.errors} errors in {len(test.labels)} images)")
    print(f"validation accuracy  {validation.accuracy:.2%} ({len(validation.labels)} images)")
    if test.errors != summary["test_errors"]:
        raise UserError(
            f"The run reported {summary['test_accuracy']:.2%} ({summary['test_errors']} errors): the saved model, the "
            "data or the machine's arithmetic is not what it was.",
            status=1,
        )
    print(f"the run reported     {summary['test_accuracy']:.2%}: the same")


def evaluate(run: RunDirectory):
    """Runs a finished run's best model.

    Args:
        run: the run's folder.

    Returns:
        `Predictions` on the test and on the validation images.

    Raises:
        UserError: the run, its model or its data are missing or damaged.
    """
    from . import data
    from .predictions import Predictions

    dataset = data.load(Config.from_json(run.read_json(RunDirectory.config_file, "config")["config"]))
    model = run.file(RunDirectory.best_model_file)
    return tuple(
        Predictions.of(model, split, dataset.views, PREDICT_BATCH) for split in (dataset.test, dataset.validation)
    )
