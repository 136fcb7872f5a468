"""The command `encapnet explain`, which writes a page that explains the class scores of images."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ...trainers.runs.argument_types import integer_type, path_type
from ...trainers.runs.counting import counted
from ...trainers.runs.errors import UserError
from ...trainers.runs.output_files import write_output
from ...trainers.runs.path_arguments import FILE, NEW_FILE
from ...trainers.runs.terminal import printable
from .. import model_source
from ..model_source import ModelSource, find_model
from .image_files import expand_patterns, image_files
from .predict import _read as read_file
from .predict import _read_labels as read_labels

if TYPE_CHECKING:
    from ..local_model import LocalModel

SAFE = "An earlier page is as it was."  # after an error of the disk
_LIMIT = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line arguments of `encapnet explain` to an argument parser."""
    parser.add_argument("model", help="A finished run's folder, a .keras file, or a preset: fashion_mnist, digits.")
    parser.add_argument(
        "images",
        nargs="*",
        metavar="image",
        help="Images to explain: files, folders, and patterns such as 'photos/*.png'.",
    )
    parser.add_argument(
        "--class",
        dest="class_name",
        metavar="NAME",
        help="Class to explain in every image, its name or its number. Default: the class of highest score.",
    )
    parser.add_argument(
        "--labels", type=path_type("--labels", FILE), help="File of class names, one a line. Default: the run's."
    )
    parser.add_argument(
        "--limit",
        type=integer_type("--limit", 1),
        default=_LIMIT,
        help=f"Most images to explain. Default: {_LIMIT}.",
    )
    parser.add_argument(
        "--out",
        type=path_type("--out", NEW_FILE),
        default="explanation.html",
        help="File of the page to write. Default: explanation.html.",
    )


def check_arguments(args: argparse.Namespace) -> None:
    """Check the arguments of `encapnet explain`, and raise `UserError` if an argument is invalid or missing."""
    if not args.images:
        raise UserError(f"Name the images to explain after the model: encapnet explain {args.model} IMAGE.png.")
    _find_keras_model(args.model)
    if (folder := Path(args.out).absolute().parent) and not folder.is_dir():
        raise UserError(f"--out={args.out}: there is no folder {folder}.")
    images = expand_patterns(args.images)
    if not any(Path(image).is_dir() or os.access(image, os.R_OK) for image in images):
        read_file(images[0])


def _find_keras_model(argument: str) -> ModelSource:
    """Return the path and kind of the Keras model that a command-line argument names.

    Raises:
        UserError: the argument names an exported model or a model server.
    """
    advice = "gives scores, but neither gradients nor what its layers compute. Name the run that it was exported from"
    if "://" in argument:
        raise UserError(f"{argument} is a server, which {advice}, or a .keras file.")
    source = find_model(argument)
    if source.kind not in (model_source.RUN, model_source.KERAS, model_source.PRESET):
        raise UserError(f"{argument} is an exported model, which {advice}, or a .keras file.")
    return source


def main(args: argparse.Namespace) -> None:
    """Run the command `encapnet explain`, which writes an HTML page that explains the class scores of images.

    Raises:
        UserError: some of the images cannot be read. All others are on the page.
    """
    from ...trainers.explanation.explanation import explain_image, score_name
    from ...trainers.explanation.page import render_explanations
    from ..local_model import LocalModel

    files = image_files(expand_patterns(args.images))
    model = LocalModel.load(_find_keras_model(args.model).path)
    names = read_labels(args.labels) if args.labels else model.class_names
    if len(names) != len(model.class_names):
        raise UserError(
            f"Received {counted(len(names), 'class name')} for {counted(len(model.class_names), 'score')}. --labels "
            "needs one line for each class."
        )
    label = _label(args.class_name, names)
    if len(files) > args.limit:
        print(f"Explaining the first {args.limit} of {len(files):,} images; --limit takes more.", flush=True)
    explanations, problems = [], []
    width = max(len(printable(file)) for file in files[: args.limit])
    for file in files[: args.limit]:
        try:
            explanation = explain_image(model.model, file, _image(model, file), label)
        except UserError as error:
            problems.append(str(error))
            continue
        explanations.append(explanation)
        name, score = names[explanation.label], explanation.scores[explanation.label]
        print(f"{printable(file):<{width}}  {printable(name)} {score:.3f}", flush=True)
    if explanations:
        page = render_explanations(f"Explanation of {args.model}", explanations, names, score_name(model.model))
        replaces = " (in place of the earlier page)" if Path(args.out).is_file() else ""
        print(f"page: {write_output(args.out, page)}{replaces}")
    if problems:
        heading = f"{len(problems)} of {counted(len(problems) + len(explanations), 'image')} cannot be explained:"
        raise UserError("\n".join([heading, *problems] if len(files) > 1 else problems), status=1)


def _image(model: LocalModel, file: str):
    """Read and preprocess an image file, or raise a `UserError` that names the file."""
    data = read_file(file)
    try:
        return model.read_image(data)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


def _label(name: str | None, class_names: list[str]) -> int | None:
    """Convert a class name or number to the class index, or raise `UserError` for an unknown class.

    None stays None.
    """
    if name is None:
        return None
    if name in class_names:
        return class_names.index(name)
    if name.isdecimal() and int(name) < len(class_names):
        return int(name)
    names = ", ".join(class_names[:10]) + (", ..." if len(class_names) > 10 else "")
    raise UserError(
        f"--class={name} is no class. Expected a name ({names}) or a number from 0 to {len(class_names) - 1}."
    )
