"""Command `encapnet evaluate`: measure the accuracy, calibration and robustness of trained models."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..config.presets import preset_description, preset_from_argument
from ..runs.argument_types import integer_type, path_type
from ..runs.counting import counted
from ..runs.errors import UserError
from ..runs.path_arguments import FOLDER
from ..runs.run_directory import RunDirectory

if TYPE_CHECKING:
    from ..evaluation.predictions import Predictions

SAFE = "The run itself is as it was."  # after an error of the disk
_FEW_CLASSES = 20  # up to so many, the accuracy of each class is printed without --per_class
_ROBUSTNESS = {
    "rotations": "Accuracy against rotation.",
    "shifts": "Accuracy against shift.",
    "noise": "Accuracy against Gaussian noise.",
    "blur": "Accuracy against Gaussian blur.",
    "fgsm": "Accuracy against the fast gradient sign attack.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `encapnet evaluate` to an argument parser."""
    parser.add_argument(
        "runs",
        nargs="+",
        type=path_type(use=FOLDER),
        metavar="run",
        help="Folder of a finished run, such as runs/digits/20261122-182440.",
    )
    parser.add_argument(
        "--crops",
        type=int,
        choices=(1, 10),
        default=1,
        help="Crops of each test image over which capsule lengths are averaged. Data that are not mirrored, such as "
        "digits, have 5 of the 10.",
    )
    parser.add_argument("--per_class", action="store_true", help="Print every class, however many there are.")
    for name, help in _ROBUSTNESS.items():
        parser.add_argument(f"--{name}", action="store_true", help=f"{help} Several runs are compared in the report.")
    parser.add_argument(
        "--images",
        type=integer_type("--images", 1),
        help="Number of test images to disturb, from the first on. Default: all.",
    )


def check_arguments(args: argparse.Namespace) -> None:
    """Check the flags of `encapnet evaluate`, and raise `UserError` for a folder without a finished training run."""
    for path in args.runs:
        _refuse_preset(path)
        _check_composition(args, RunDirectory.open(path))


def _refuse_preset(path) -> None:
    """Raise `UserError` if an argument is the name of a pretrained network, and say which command measures it."""
    if weights := preset_from_argument(path):
        accuracy = preset_description(weights)["test_accuracy"]
        raise UserError(
            f"{path} is a preset, not a run: its test accuracy is {accuracy:.2%}. `encapnet export {path}` measures it "
            f"again, and `encapnet train --init_weights={path}` begins a run from its weights."
        )


def _check_composition(args: argparse.Namespace, run: RunDirectory) -> None:
    """Raise `UserError` if a requested measurement does not support overlapping or transformed test images."""
    compose = run.read_json(RunDirectory.config_file, "config")["config"].get("compose", "none")
    if compose != "none" and args.crops > 1:
        raise UserError(
            f"--crops={args.crops}: {run.path} was tested on composed images (--compose={compose}), of which a crop "
            "could lose an object. Leave --crops out."
        )
    if compose == "overlap" and (name := next((name for name in _ROBUSTNESS if getattr(args, name)), None)):
        raise UserError(
            f"--{name}: {run.path} was tested on images with two labels (--compose=overlap), and robustness is "
            f"measured on images with one. Leave --{name} out."
        )


def main(args: argparse.Namespace) -> None:
    """Run `encapnet evaluate`: print the accuracy of trained models on clean and, optionally, perturbed test images.

    The accuracy is compared with the one in the run's summary.
    """
    runs = [RunDirectory.open(path) for path in args.runs]
    for run in runs:
        if len(runs) > 1:
            print(f"{'' if run is runs[0] else chr(10)}{run.path}")
        _evaluate(run, args)
    if names := [name for name in _ROBUSTNESS if getattr(args, name)]:
        _compare(runs, names, args.images)


def _evaluate(run: RunDirectory, args: argparse.Namespace) -> None:
    from ..evaluation.calibration import Calibration
    from ..evaluation.evaluate import evaluate, many_crop_accuracy

    summary = run.read_json(RunDirectory.summary_file, "test_errors", "test_accuracy", "class_names")
    test, validation = evaluate(run)
    print(
        f"test accuracy        {test.accuracy:.2%} ({counted(test.errors, 'error')} in "
        f"{counted(len(test.labels), 'image')})"
    )
    if test.lengths.shape[1] > 5:
        print(f"top-5 accuracy       {test.top(5):.2%}")
    if args.crops > 1:
        accuracy, count = many_crop_accuracy(run)
        print(f"{count:>2} crops             {accuracy:.2%}")
    print(f"validation accuracy  {validation.accuracy:.2%} ({counted(len(validation.labels), 'image')})")
    if test.labels.ndim == 1:
        calibration = Calibration.from_scores(test.lengths, test.labels)
        print(
            f"calibration error    {calibration.expected_error:.2%} (class scores, such as capsule lengths, read as "
            "probabilities)"
        )
    names = summary["class_names"]
    if args.per_class or len(names) <= _FEW_CLASSES:
        _print_classes(test, names)
    if test.errors != summary["test_errors"]:
        raise UserError(
            f"The run reported {summary['test_accuracy']:.2%} ({counted(summary['test_errors'], 'error')}): the saved "
            "model, the data or the machine's arithmetic is not what it was.",
            status=1,
        )
    print(f"the run reported     {summary['test_accuracy']:.2%}: the same")


def _print_classes(predictions: Predictions, names: list[str]) -> None:
    width = max(len(name) for name in names)
    print(f"{'class':<{width}}  images     right")
    counts, _ = predictions.class_counts()
    for name, images, accuracy in zip(names, counts, predictions.per_class(), strict=True):
        print(f"{name:<{width}}  {images:>6}  {accuracy:>8.2%}")


def _compare(runs: list[RunDirectory], names: list[str], images: int | None) -> None:
    """Print and plot the accuracy of trained models on perturbed test images, to compare their robustness."""
    from ..evaluation import robustness
    from ..report.run_report import write_report

    curves, count = robustness.compare_runs(runs, names, images)
    for name in names:
        print(f"\n{robustness.table(name, curves[name])}")
    print(f"\n{counted(count, 'test image')}; the plot is in")
    for run in runs:
        file = RunDirectory.robustness_file
        earlier = run.read_json(file) if run.file(file).exists() else {}
        run.write_json(file, {**earlier, **curves})
        write_report(run, run.read_json(RunDirectory.summary_file))
        print(run.file(RunDirectory.report_file))
