"""`encapnet evaluate RUN ...`: the reported accuracy again from the saved model, ten crops, calibration, robustness."""

import numpy as np

from ..evaluation.evaluate import data_of, evaluate, many_crops
from ..evaluation.predictions import PREDICT_BATCH
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory

_FEW_CLASSES = 20  # whose table is printed by itself
_ROBUSTNESS = {
    "rotations": "Accuracy against rotation.",
    "shifts": "Accuracy against shift.",
    "fgsm": "Accuracy against the fast gradient sign attack.",
}


def add_arguments(parser):
    parser.add_argument(
        "runs", nargs="+", metavar="run", help="Folder of a finished run, such as runs/digits/20261122-182440."
    )
    parser.add_argument(
        "--crops",
        type=int,
        choices=(1, 10),
        default=1,
        help="Test views whose lengths are averaged; of 10, digits have the 5 not mirrored.",
    )
    parser.add_argument("--per_class", action="store_true", help="Print every class, however many there are.")
    for name, help in _ROBUSTNESS.items():
        parser.add_argument(f"--{name}", action="store_true", help=f"{help} Several runs are compared in the report.")
    parser.add_argument("--images", type=int, help="Test images to disturb, the first so many. Default: all.")


def main(args):
    """The verb: evaluates each run's best model, compares with its summary, and disturbs test images if asked."""
    if args.images is not None and args.images < 1:
        raise UserError(f"--images={args.images}: expected at least 1.")
    runs = [RunDirectory.open(path) for path in args.runs]
    for run in runs:
        if len(runs) > 1:
            print(f"{'' if run is runs[0] else chr(10)}{run.path}")
        _evaluate(run, args)
    if names := [name for name in _ROBUSTNESS if getattr(args, name)]:
        _compare(runs, names, args.images)


def _evaluate(run, args):
    from ..evaluation.calibration import Calibration

    summary = run.read_json(RunDirectory.summary_file, "test_errors", "test_accuracy", "class_names")
    test, validation = evaluate(run)
    print(f"test accuracy        {test.accuracy:.2%} ({test.errors} errors in {len(test.labels)} images)")
    if test.lengths.shape[1] > 5:
        print(f"top-5 accuracy       {test.top(5):.2%}")
    if args.crops > 1:
        accuracy, count = many_crops(run)
        print(f"{count:>2} crops             {accuracy:.2%}")
    print(f"validation accuracy  {validation.accuracy:.2%} ({len(validation.labels)} images)")
    print(f"calibration error    {Calibration.from_scores(test.lengths, test.labels).expected_error:.2%}")
    names = summary["class_names"]
    if args.per_class or len(names) <= _FEW_CLASSES:
        _print_classes(test, names)
    if test.errors != summary["test_errors"]:
        raise UserError(
            f"The run reported {summary['test_accuracy']:.2%} ({summary['test_errors']} errors): the saved model, the "
            "data or the machine's arithmetic is not what it was.",
            status=1,
        )
    print(f"the run reported     {summary['test_accuracy']:.2%}: the same")


def _print_classes(test, names):
    width = max(len(name) for name in names)
    print(f"{'class':<{width}}  images     right")
    for name, images, accuracy in zip(names, test.confusion().sum(axis=1), test.per_class(), strict=True):
        print(f"{name:<{width}}  {images:>6}  {accuracy:>8.2%}")


def _compare(runs, names, images):
    """Disturbs the same test images for every run; prints tables, and puts the plot in each run's report."""
    from ..evaluation import robustness
    from ..evaluation.predictions import saved_model
    from ..report.run_report import write_report

    curves = {name: {} for name in names}
    labels = None
    for run in runs:
        dataset = data_of(run)
        split = dataset.test.take(np.arange(min(images or len(dataset.test), len(dataset.test))))
        if labels is not None and not np.array_equal(labels, split.labels):
            raise UserError(f"{run.path} has other test images than {runs[0].path}: they cannot be compared.")
        labels = split.labels
        model = saved_model(run.file(RunDirectory.best_model_file))
        for name in names:
            curves[name][_title(run, runs)] = robustness.accuracies(model, split, dataset.views, name, PREDICT_BATCH)
    for name in names:
        print(f"\n{robustness.table(name, curves[name])}")
    print(f"\n{len(labels):,} test images; the plot is in")
    for run in runs:
        kept = run.read_json(RunDirectory.robustness_file) if run.file(RunDirectory.robustness_file).exists() else {}
        run.write_json(RunDirectory.robustness_file, {**kept, **curves})
        write_report(run, run.read_json(RunDirectory.summary_file))
        print(run.file(RunDirectory.report_file))


def _title(run, runs) -> str:
    """The run's network, and its folder where two have the same."""
    models = [other.read_json(RunDirectory.config_file, "config")["config"]["model"] for other in runs]
    own = run.read_json(RunDirectory.config_file, "config")["config"]["model"]
    return own if models.count(own) == 1 else f"{own} ({run.path})"
