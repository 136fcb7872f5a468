"""`encapnet data`: look at a data set, prepare one, build h-ImageNet, find the hardest classes."""

from pathlib import Path

from ..config.flags import add_flags
from ..config.recipes import RECIPES, resolve
from ..config.schema import settings
from ..runs.errors import UserError

DATA_SETTINGS = (
    "dataset",
    "data_dir",
    "classes_file",
    "image_size",
    "corrupt_images",
    "cache_gib",
    "validation_fraction",
    "augment",
    "flip",
    "seed",
)
_GRID_ROWS, _GRID_COLUMNS = 8, 12


def add_arguments(parser):
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name, main, help):
        own = actions.add_parser(name, help=help, description=help, inherited_absl_flags=None)
        own.set_defaults(parser=own, main=main)
        return own

    look = action("check", check, "Show a data set's shapes, class counts and augmented samples; decode every image.")
    look.add_argument("--recipe", choices=tuple(RECIPES), default="digits", help="Whose data and augmentation to show.")
    look.add_argument("--out", default="data_check.png", help="Picture of augmented samples to write.")
    add_flags(look, skip={setting.name for setting in settings()} - set(DATA_SETTINGS))

    fetch = action("prepare", prepare, "Download and prepare a TensorFlow Datasets data set; needs a network.")
    fetch.add_argument("--dataset", required=True, help="Its name, such as cifar10.")
    fetch.add_argument("--data_dir", help="Where to put it. Default: TFDS's own folder.")

    build = action("h_imagenet", h_imagenet, "Build h-ImageNet from an ImageNet folder and a list of 200 WordNet ids.")
    build.add_argument("--imagenet", required=True, help="Folder with train/WNID/*.JPEG and val/WNID/*.JPEG.")
    build.add_argument("--classes_file", required=True, help="The WordNet ids, one a line.")
    build.add_argument("--boxes", help="Folder of the bounding boxes' XML files, of any depth. Default: no cropping.")
    build.add_argument("--out", required=True, help="Folder to make.")
    build.add_argument("--corrupt_images", choices=("error", "skip"), default="error", help="What to do about them.")

    hard = action("hardest", hardest, "List the classes that a model gets wrong most often on test images.")
    hard.add_argument("--model", required=True, help="A run's folder, or a .keras file of any classifier.")
    hard.add_argument("--recipe", choices=tuple(RECIPES), default=None, help="Data to judge on. Default: the run's.")
    hard.add_argument("--classes", type=int, default=200, help="How many classes to list. Default: 200.")
    hard.add_argument("--out", default="hardest.txt", help="File to write, one class a line, hardest first.")
    add_flags(hard, skip={setting.name for setting in settings()} - set(DATA_SETTINGS))


def main(args):
    """The verb; each action sets its own."""
    raise UserError("Say what to do: check, prepare, h_imagenet or hardest.")


def given(args) -> dict:
    """The data settings given on the command line."""
    values = {name: getattr(args, name) for name in DATA_SETTINGS}
    return {name: value for name, value in values.items() if value is not None}


def check(args):
    """Loads the data as training would, prints what it is and writes a grid of augmented samples."""
    config = resolve(args.recipe, given(args))
    from .. import data
    from ..data.inspection import sample_grid, table

    dataset = data.load(config)
    for split in (dataset.train, dataset.validation, dataset.test):
        split.refuse_corrupt()
    print(table(dataset))
    if dataset.skipped:
        print(f"left out: {data.describe_skipped(dataset)}")
    path = Path(args.out)
    try:
        path.write_bytes(sample_grid(dataset, config, _GRID_ROWS, _GRID_COLUMNS))
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.") from None
    print(f"{path}: images as the network sees them in training (--augment={','.join(config.augment)})")


def prepare(args):
    """The only place where data is downloaded."""
    from ..data.sources.tfds import tfds_builder

    builder = tfds_builder(args.dataset, args.data_dir)
    try:
        builder.download_and_prepare()
    except Exception as error:  # whatever networks, disks and manual downloads provoke
        raise UserError(f"Preparing {args.dataset} failed: {type(error).__name__}: {error}", status=1) from None
    counts = ", ".join(f"{split.name} {split.num_examples:,}" for split in builder.info.splits.values())
    print(f"{args.dataset} is prepared in {builder.data_dir}: {counts}")


def h_imagenet(args):
    """Builds the folder and prints its counts beside the paper's."""
    from ..data.sources.h_imagenet import build

    print(build(args.imagenet, args.classes_file, args.out, args.boxes, args.corrupt_images == "skip"))


def hardest(args):
    """Writes the classes with the lowest accuracy on test images."""
    from ..evaluation.evaluate import hardest_classes

    rows = hardest_classes(args.model, args.recipe, given(args), args.classes)
    try:
        Path(args.out).write_text("".join(f"{name}  # {accuracy:.4f}\n" for name, accuracy in rows), encoding="utf-8")
    except OSError as error:
        raise UserError(f"Cannot write {args.out}: {error.strerror}.") from None
    print(f"{args.out}: the {len(rows)} hardest classes, from {rows[0][1]:.1%} to {rows[-1][1]:.1%} right")
