"""The command `encapnet export`, which exports a trained model and verifies the exported files.

The model is that of a finished run, a model file with data, or a preset.
"""

import argparse
import shlex
from pathlib import Path

from ...trainers.commands.data import DATA_SETTINGS, data_settings
from ...trainers.config.flags import add_choice, add_flags
from ...trainers.config.presets import is_preset, preset_description, preset_from_argument, preset_name
from ...trainers.config.recipes import RECIPES
from ...trainers.config.schema import settings
from ...trainers.runs.argument_types import integer_type, path_type
from ...trainers.runs.counting import counted
from ...trainers.runs.path_arguments import NEW_FOLDER
from ...trainers.runs.run_directory import RunDirectory, package_versions
from ..artefacts.variants import VARIANTS

SAFE = "Earlier exports are as they were."  # after an error of the disk


def add_arguments(parser: argparse.ArgumentParser):
    """Add the command-line flags of `encapnet export` to an argument parser."""
    parser.add_argument(
        "model",
        type=path_type(),
        help="Folder of a finished run, such as runs/digits/20261122-182440; a .keras file of any classifier; or a "
        "preset: fashion_mnist, digits.",
    )
    parser.add_argument(
        "--name",
        help="Name of the model, also at the server. Default: NAME of a run in runs/NAME/TIME or runs/NAME; of a file "
        "or preset its own name.",
    )
    parser.add_argument(
        "--out",
        type=path_type("--out", NEW_FOLDER),
        default="exports",
        help="Folder of all exports; the export is OUT/NAME.",
    )
    parser.add_argument(
        "--tflite",
        default=",".join(VARIANTS),
        help=f"TFLite files to make, some of {','.join(VARIANTS)}; empty: none. Default: all.",
    )
    parser.add_argument(
        "--images",
        type=integer_type("--images", 1),
        help="Number of test images to compare on, taken from the first on. Default: all.",
    )
    add_choice(parser, "--recipe", RECIPES, help="Recipe of the data to compare and calibrate on. Default: the run's.")
    add_flags(parser, skip={setting.name for setting in settings()} - set(DATA_SETTINGS))


def check_arguments(args: argparse.Namespace):
    """Check the flags of `encapnet export`, and raise `UserError` for a folder without a finished training run."""
    if not _model_path(args.model).is_file():
        RunDirectory.open(args.model)


def _model_path(argument: str | Path) -> Path:
    """Return the path of the run or model file that an argument names, or the weights file of a preset."""
    return preset_from_argument(argument) or Path(argument)


def main(args: argparse.Namespace):
    """Run the command `encapnet export`, and print a table that compares exported files with the trained model."""
    files = ", ".join(["SavedModel", *(f"TFLite {variant}" for variant in filter(None, args.tflite.split(",")))])
    print(f"exporting {args.model} ({files}), and comparing each file with the model on test images ...", flush=True)
    folder = export_run(
        args.model,
        name=args.name,
        out=args.out,
        tflite=tuple(filter(None, args.tflite.split(","))),
        images=args.images,
        recipe=args.recipe,
        overrides=data_settings(args),
    )
    from ..artefacts.documents import parity_table, precision_note
    from ..artefacts.export_folder import ExportFolder

    parity = RunDirectory(folder).read_json(ExportFolder.parity_file, "rows")
    table = [
        [f"on {counted(parity['images'], 'image')}", "KiB", "accuracy", "same label", "difference", "limit", "ms", ""]
    ]
    table += parity_table(parity)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for what, *cells, note in table:
        cells = [cell.rjust(width) for cell, width in zip(cells, widths[1:-1], strict=True)]
        print("  ".join([what.ljust(widths[0]), *cells, note]).rstrip())
    if sentence := precision_note(parity):
        print(f"\n{sentence}")
    path = shlex.quote(str(folder))
    print(
        f"\nexport:  {ExportFolder.newest(folder)}\ncard:    {folder / ExportFolder.card_file}\n"
        f"next:    encapnet predict {path} IMAGE.png\n"
        f"serve:   docker compose --file {path}/{ExportFolder.serving_folder}/compose.yaml up"
    )


def export_run(
    path: str | Path,
    *,
    name: str | None = None,
    out: str | Path = "exports",
    tflite: tuple[str, ...] = tuple(VARIANTS),
    images: int | None = None,
    recipe: str | None = None,
    overrides: dict | None = None,
) -> Path:
    """Export the trained model of a training run, of a `.keras` file or of a preset.

    Of a run, it is the best model. The exported files are compared with it on the run's or on a recipe's data.

    Args:
        path: the run's folder, the model's file, or the name of a preset.
        name: of the export; None takes that of the run's folder, or of the one around it, or of the file or preset.
        out: folder of all exports.
        tflite: TFLite variants.
        images: number of test images to compare on; None takes all.
        recipe: name of the recipe whose data is used; None takes the run's data, or the preset's.
        overrides: data settings that replace those of the recipe or run.

    Returns:
        The export's folder.

    Raises:
        UserError: see `export_model`.
    """
    from ...trainers.evaluation.model_and_data import model_and_data
    from ..artefacts.export_folder import ExportFolder
    from ..artefacts.preprocessing import Preprocessing
    from ..exporting import export_samples
    from ..verification.samples import Samples

    source, path = str(path), _model_path(path)
    target = ExportFolder(out, name or (preset_name(path) if is_preset(path) else _default_name(path)))
    model, dataset = model_and_data(path, recipe, overrides or {})
    height, width, channels = dataset.train.shape
    preprocessing = Preprocessing((height, width), channels, dataset.views, dataset.single_size)
    samples = Samples.of_data(dataset, images)
    return export_samples(
        model,
        samples,
        preprocessing,
        class_names=dataset.class_names,
        target=target,
        tflite=tflite,
        source=source,
        about=_about(path, dataset.name),
    )


def _default_name(path):
    """Derive an exported model's default name from the path of a training run or model file.

    That is NAME of a run in runs/NAME/TIME, and of runs/NAME; of a model's file it is the file's name. The models in a
    run's folder, which have the same file names in every run, are named after the run.
    """
    path = path.resolve()
    is_model_of_run = path.name in (RunDirectory.best_model_file, RunDirectory.final_model_file)
    if is_model_of_run and RunDirectory(path.parent).file(RunDirectory.config_file).is_file():
        path = path.parent
    if not path.is_dir():
        return path.stem
    in_named_folder = path.parent.parent.name == "runs" or RunDirectory.is_named_after_time(path)
    return path.parent.name if in_named_folder else path.name


def _about(path: Path, data: str) -> dict:
    """Return a trained model's data set and training details as a dictionary, for the model card.

    Args:
        path: of a run, a model's file or the weights of a preset.
        data: name of the data on which the exported files are compared.
    """
    if path.is_dir():
        return _about_run(RunDirectory(path))
    if not is_preset(path):
        return {"data": data}
    accuracy, version = preset_description(path)["test_accuracy"], package_versions("encapnet_tf")["encapnet_tf"]
    facts = {
        "pretrained network": f"the preset {preset_name(path)} of encapnet_tf {version}, whose own model card "
        "describes data, training and limits",
        "accuracy that its card states": f"{accuracy:.2%} on all test images",
    }
    return {"data": data, "facts": facts}


def _about_run(run):
    """Return a training run's details for the model card, such as data set and accuracy."""
    config = run.read_json(RunDirectory.config_file, "config")
    summary = run.read_json(RunDirectory.summary_file)
    facts = {
        "run": str(run.path),
        "command": f"`{config.get('command', '')}`",
        "images": f"{summary['train_images']:,} to train on, {summary['validation_images']:,} to choose the best epoch "
        f"on, {summary['test_images']:,} to test on",
        "training": f"{counted(summary['epochs'], 'epoch')} in {summary['train_seconds']:.0f} s; best "
        f"{summary['best_epoch']}",
        "accuracy that the run reported": f"{summary['test_accuracy']:.2%} on test, "
        f"{summary['validation_accuracy']:.2%} on validation images",
    }
    data = summary.get("data_name", config["config"]["dataset"])  # version 0.1 wrote no name
    return {"data": data, "facts": facts, "configuration": config["config"]}
