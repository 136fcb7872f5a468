"""Command `encapnet data`: check, download or build data sets, or list the classes with the lowest accuracy."""

from pathlib import Path

from ..config.dataset_names import canonical_dataset_name, refuse_unread_data_dir
from ..config.flags import add_choice, add_flags
from ..config.naming import file_name
from ..config.recipes import RECIPES, default_recipe, resolve
from ..config.schema import Config, settings
from ..runs.argument_types import integer_type, path_type
from ..runs.errors import UserError
from ..runs.output_files import write_output
from ..runs.path_arguments import ANY, FILE, FOLDER, NEW_FILE, NEW_FOLDER
from .configuration import fit_and_print

SAFE = "Files that were there before are as they were."  # after an error of the disk
# Settings of a configuration that decide which images there are and how they are augmented.
DATA_SETTINGS = (
    "dataset",
    "data_dir",
    "classes_file",
    "image_size",
    "color_mode",
    "corrupt_images",
    "cache_gib",
    "validation_fraction",
    "augment",
    "compose",
    "flip",
    "seed",
)
_GRID_ROWS, _GRID_COLUMNS = 6, 12  # of the picture of augmented samples
_CHECKS = "data_checks"  # folder of the pictures


def add_arguments(parser):
    """Add the subcommands of `encapnet data`, such as `check` and `prepare`, to an argument parser."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add_action(name, main, help):
        action = actions.add_parser(name, help=help, description=help)
        action.set_defaults(parser=action, main=main)
        return action

    checking = add_action(
        "check", check, "Show a data set's shapes, class counts and augmented samples; decode every image."
    )
    recipe_help = "Recipe whose data and augmentation to show. Default: as for training."
    add_choice(checking, "--recipe", RECIPES, help=recipe_help)
    checking.add_argument(
        "--out",
        type=path_type("--out", NEW_FILE),
        help=f"Picture of augmented samples to write. Default: {_CHECKS}/NAME.png, NAME of the data set or the folder.",
    )
    _add_data_flags(checking)
    checking.set_defaults(check=_check_configuration)

    preparing = add_action("prepare", prepare, "Download and prepare a TensorFlow Datasets data set; needs a network.")
    preparing.add_argument("--dataset", required=True, type=canonical_dataset_name, help="Its name, such as cifar10.")
    preparing.add_argument(
        "--data_dir",
        type=path_type("--data_dir", NEW_FOLDER),
        help="Folder to put it in. Default: TFDS's own folder.",
    )

    building = add_action(
        "h_imagenet", h_imagenet, "Build h-ImageNet from an ImageNet folder and a list of 200 WordNet ids."
    )
    building.add_argument(
        "--imagenet",
        required=True,
        type=path_type("--imagenet", FOLDER),
        help="Folder with train/WNID/*.JPEG and val/WNID/*.JPEG.",
    )
    building.add_argument(
        "--classes_file",
        required=True,
        type=path_type("--classes_file", FILE),
        help="File of the WordNet ids, one a line.",
    )
    building.add_argument(
        "--boxes",
        type=path_type("--boxes", FOLDER),
        help="Folder of the bounding boxes' XML files, of any depth. Default: no cropping.",
    )
    building.add_argument("--out", required=True, type=path_type("--out", NEW_FOLDER), help="Folder to create.")
    building.add_argument(
        "--corrupt_images",
        choices=("error", "skip"),
        default="error",
        help="Whether images that cannot be decoded stop the build or are left out.",
    )

    ranking = add_action("hardest", hardest, "List the classes that a model gets wrong most often on test images.")
    ranking.add_argument(
        "--model",
        required=True,
        type=path_type("--model", ANY),
        help="A run's folder, or a .keras file of any classifier.",
    )
    add_choice(ranking, "--recipe", RECIPES, help="Recipe whose data to judge on. Default: the run's.")
    ranking.add_argument(
        "--classes",
        type=integer_type("--classes", 1),
        default=200,
        help="How many classes to list. Default: 200.",
    )
    ranking.add_argument(
        "--out",
        type=path_type("--out", NEW_FILE),
        help="File to write, one class a line, hardest first. Default: hardest.txt beside the model's files.",
    )
    _add_data_flags(ranking)


def _add_data_flags(parser):
    add_flags(parser, skip={setting.name for setting in settings()} - set(DATA_SETTINGS))


def main(args):
    """Raise `UserError` because the command `encapnet data` was called without a subcommand."""
    raise UserError("Name an action: check, prepare, h_imagenet or hardest.")


def data_settings(args) -> dict:
    """Return a dictionary of the data loading and augmentation settings that were set by command-line flags."""
    values = {name: getattr(args, name) for name in DATA_SETTINGS}
    return {name: value for name, value in values.items() if value is not None}


def _check_configuration(args) -> Config:
    """Build the data configuration from `encapnet data check` flags, or raise `UserError` for invalid flags.

    No data are loaded.
    """
    config = resolve(args.recipe or default_recipe(args.dataset), data_settings(args))
    refuse_unread_data_dir(args.data_dir, config.dataset)
    return config


def check(args):
    """Run `encapnet data check`: print the class counts of a data set and save a picture of augmented images."""
    config = fit_and_print(_check_configuration(args), set(data_settings(args)))
    from .. import data
    from ..data.inspection import class_table, image_flags, sample_grid

    dataset = data.load(config)
    for split in (dataset.train, dataset.validation, dataset.test):
        split.raise_if_corrupt()
    print(f"data: {dataset.source}")
    print(class_table(dataset))
    if dataset.skipped:
        print(f"left out: {data.describe_skipped(dataset)}")
    path = write_output(
        args.out or f"{_CHECKS}/{file_name(dataset.name) or config.recipe}.png",
        sample_grid(dataset, config, _GRID_ROWS, _GRID_COLUMNS),
    )
    print(f"{path}: images as the network sees them in training ({image_flags(config)})")


def prepare(args):
    """Run `encapnet data prepare`: download and prepare a data set with TensorFlow Datasets.

    No other command downloads data.
    """
    from ..data.sources.prepared.connection import raise_if_offline
    from ..data.sources.prepared.loader import prepare_command, tfds_builder

    builder = tfds_builder(args.dataset, args.data_dir)
    raise_if_offline(builder, prepare_command(args))
    try:
        builder.download_and_prepare()
    except Exception as error:  # anything that a network, a disk or a manual download may raise
        raise UserError(f"Preparing {args.dataset} failed: {type(error).__name__}: {error}", status=1) from None
    counts = ", ".join(f"{split.name} {split.num_examples:,}" for split in builder.info.splits.values())
    print(f"{args.dataset} is prepared in {builder.data_dir}: {counts}")


def h_imagenet(args):
    """Run `encapnet data h_imagenet`: build h-ImageNet (200 hard ImageNet classes) and print the image counts.

    The paper's counts are printed beside them.
    """
    from ..data.sources.h_imagenet import build_h_imagenet

    skip_corrupt = args.corrupt_images == "skip"
    print(build_h_imagenet(args.imagenet, args.classes_file, args.out, args.boxes, skip_corrupt))


def hardest(args):
    """Run `encapnet data hardest`: write a text file that lists the classes with the lowest test accuracy."""
    from ..data.sources.class_names import class_name_line
    from ..evaluation.evaluate import hardest_classes

    rows = hardest_classes(args.model, args.recipe, data_settings(args), args.classes)
    model = Path(args.model)
    path = Path(args.out) if args.out else (model if model.is_dir() else model.parent) / "hardest.txt"
    write_output(path, "".join(f"{class_name_line(name)}  # {accuracy:.4f}\n" for name, accuracy in rows))
    print(f"{path}: the hardest of the classes ({len(rows)}), from {rows[0][1]:.1%} to {rows[-1][1]:.1%} right")
