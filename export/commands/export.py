"""`encapnet export`: from a finished run, or a model file and data, to artefacts and the proof of their equality."""

import shlex
from pathlib import Path

from ...trainers.commands.data import DATA_SETTINGS, data_settings
from ...trainers.config.flags import add_flags
from ...trainers.config.recipes import RECIPES
from ...trainers.config.schema import settings
from ...trainers.runs.errors import UserError
from ...trainers.runs.run_directory import RunDirectory

_TFLITE = "float32,float16,dynamic,int8"


def add_arguments(parser):
    parser.add_argument(
        "model",
        help="Folder of a finished run, such as runs/digits/20261122-182440; or a .keras file of any classifier.",
    )
    parser.add_argument(
        "--name", help="Name of the model, also at the server. Default: the recipe, or the model's file."
    )
    parser.add_argument("--out", default="exports", help="Folder of all exports; the export is OUT/NAME.")
    parser.add_argument(
        "--tflite", default=_TFLITE, help=f"TFLite files to make, some of {_TFLITE}; empty: none. Default: all."
    )
    parser.add_argument("--images", type=int, help="Test images to compare on, the first so many. Default: all.")
    parser.add_argument(
        "--recipe", choices=tuple(RECIPES), default=None, help="Data to compare and calibrate on. Default: the run's."
    )
    add_flags(parser, skip={setting.name for setting in settings()} - set(DATA_SETTINGS))


def main(args):
    """The verb: exports, prints the table of parity and what to type next."""
    if args.images is not None and args.images < 1:
        raise UserError(f"--images={args.images}: expected at least 1.")
    _hush()
    folder = export_run(
        args.model,
        args.name,
        args.out,
        tuple(filter(None, args.tflite.split(","))),
        args.images,
        args.recipe,
        data_settings(args),
    )
    from ..artefacts.documents import parity_table
    from ..artefacts.export_folder import ExportFolder

    found = RunDirectory(folder).read_json(ExportFolder.parity_file, "rows")
    table = [[f"on {found['images']} images", "KiB", "accuracy", "same label", "difference", "limit", "ms", ""]]
    table += parity_table(found)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for what, *cells, note in table:
        cells = [cell.rjust(width) for cell, width in zip(cells, widths[1:-1], strict=True)]
        print("  ".join([what.ljust(widths[0]), *cells, note]).rstrip())
    path = shlex.quote(str(folder))
    print(
        f"\nexport:  {ExportFolder.newest(folder)}\ncard:    {folder / ExportFolder.card_file}\n"
        f"next:    encapnet predict {path} IMAGE.png\n"
        f"serve:   docker compose --file {path}/{ExportFolder.serving_folder}/compose.yaml up"
    )


def _hush():
    """Errors alone: saving a model and running it in batches of different sizes is much remarked upon."""
    import tensorflow as tf
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    tf.get_logger().setLevel("ERROR")


def export_run(path, name, out, tflite, images, recipe, overrides):
    """Exports a run's best model, or a model file with the data that is named.

    Args:
        path: the run's folder or the model's file.
        name: of the export; None takes the recipe's or the file's.
        out: folder of all exports.
        tflite: variants.
        images: how many test images to compare on; None takes all.
        recipe, overrides: data other than the run's.

    Returns:
        The export's folder.

    Raises:
        UserError: see `export_model`.
    """
    from ...trainers.evaluation.model_and_data import model_and_data
    from ..artefacts.export_folder import ExportFolder
    from ..artefacts.preprocessing import Preprocessing
    from ..export_model import export
    from ..proof.samples import Samples

    path = Path(path)
    target = ExportFolder(out, name or _default_name(path))
    model, dataset = model_and_data(path, recipe, overrides)
    height, width, channels = dataset.train.shape
    preprocessing = Preprocessing((height, width), channels, dataset.views)
    samples = Samples.of_data(dataset, images)
    about = _about(RunDirectory(path)) if path.is_dir() else {"data": dataset.name}
    return export(model, samples, preprocessing, dataset.class_names, target, tflite, str(path), about)


def _default_name(path):
    """The recipe of runs/RECIPE/TIME, else the name of the run's folder or of the file."""
    path = path.resolve()
    if not path.is_dir():
        return path.stem
    config = RunDirectory(path).file(RunDirectory.config_file)
    recipe = RunDirectory.open(path).read_json(config.name, "config")["config"].get("recipe")
    return recipe if path.parent.name == recipe else path.name


def _about(run):
    """What the model card says of a run."""
    config = run.read_json(RunDirectory.config_file, "config")
    summary = run.read_json(RunDirectory.summary_file)
    facts = {
        "run": str(run.path),
        "command": f"`{config.get('command', '')}`",
        "images": f"{summary['train_images']:,} to train on, {summary['validation_images']:,} to choose the best epoch "
        f"on, {summary['test_images']:,} to test on",
        "training": f"{summary['epochs']} epochs in {summary['train_seconds']:.0f} s; best {summary['best_epoch']}",
        "accuracy that the run reported": f"{summary['test_accuracy']:.2%} on test, "
        f"{summary['validation_accuracy']:.2%} on validation images",
    }
    return {"data": config["config"]["dataset"], "facts": facts, "configuration": config["config"]}
