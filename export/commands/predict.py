"""The command `encapnet predict`, which classifies image files with a local model or a TF Serving server.

A local model is a run, an export, or a Keras or TFLite file.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...trainers.commands.records import add_format, write_any_file_name
from ...trainers.runs.argument_types import number_type, path_type
from ...trainers.runs.counting import counted
from ...trainers.runs.errors import UserError, root_cause
from ...trainers.runs.path_arguments import FILE, refuse_devices
from ...trainers.runs.terminal import printable
from ...trainers.runs.text_files import read_text
from ..model_source import find_model
from .image_files import expand_patterns, image_files
from .prediction_output import PredictionOutput

if TYPE_CHECKING:
    import numpy as np

SAFE = "The command writes nothing."  # after an error of the disk
_BATCH = 64
_MOST_SECONDS = 86_400.0


def add_arguments(parser: argparse.ArgumentParser):
    """Add the command-line flags of `encapnet predict` to an argument parser."""
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="path",
        help="The model: a run's folder, an export's, a .keras or a .tflite file. Then images: files, folders, and "
        "patterns such as 'photos/**/*.png'. With --url images alone.",
    )
    add_format(parser)
    parser.add_argument(
        "--url", help="Ask a TF Serving: http://HOST:8501/v1/models/NAME (with --grpc HOST:8500/v1/...)."
    )
    parser.add_argument("--grpc", action="store_true", help="Ask by gRPC instead of REST; needs the extra `serving`.")
    parser.add_argument(
        "--labels",
        type=path_type("--labels", FILE),
        help="File of class names, one a line. Default: the run's or the export's.",
    )
    parser.add_argument(
        "--timeout",
        type=number_type("--timeout", 0.01, _MOST_SECONDS),
        default=30.0,
        help="Seconds in which a server must have answered. Default: 30.",
    )


def check_arguments(args: argparse.Namespace):
    """Check the arguments of `encapnet predict`, and raise `UserError` if an argument is invalid or missing."""
    if args.grpc and not args.url:
        raise UserError("--grpc needs --url=HOST:8500/v1/models/NAME, the server to ask.")
    if not _image_arguments(args):
        raise UserError(f"Name the images to classify after the model: encapnet predict {args.paths[0]} IMAGE.png.")
    images = expand_patterns(_image_arguments(args))
    if not any(Path(path).is_dir() or os.access(path, os.R_OK) for path in images):
        _read(images[0])
    if not args.url:
        find_model(args.paths[0])


def _image_arguments(args) -> list[str]:
    return args.paths if args.url else args.paths[1:]


def main(args: argparse.Namespace):
    """Run the command `encapnet predict`, which prints the scores of each image file.

    Raises:
        UserError: some of the files cannot be read or classified. All others have been classified.
    """
    write_any_file_name()
    images = image_files(expand_patterns(_image_arguments(args)))
    predictor: Callable[[list], dict]
    names: list[str] | None
    if args.url:
        from ..serving.clients import client

        predictor, names = client(args.url, args.grpc, args.timeout), None
    else:
        from ..local_predictor import load_predictor

        predictor, names = load_predictor(args.paths[0])
    if args.labels:
        names = _read_labels(args.labels)
    output = PredictionOutput(args.format, names, width=max(len(printable(image)) for image in images))
    problems: list[str] = []
    for first in range(0, len(images), _BATCH):
        files: dict[str, bytes] = {}
        for path in images[first : first + _BATCH]:
            try:
                files[path] = _read(path)
            except UserError as error:
                problems.append(str(error))
        for path, row in zip(files, predict(predictor, list(files.values())), strict=True):
            if isinstance(row, str):
                problems.append(f"{path}: {row}")
            else:
                output.print(path, row)
        if len(problems) >= first + _BATCH:  # nothing was classified: the server, say, has no such model
            break
    if problems:
        sys.stdout.flush()  # the answers go before the message
        heading = f"{len(problems)} of {counted(len(images), 'file')} could not be classified:"
        if len(images) > first + _BATCH:
            tried = "The first file" if len(problems) == 1 else f"None of the first {len(problems)} files"
            heading = f"{tried} could {'not ' if len(problems) == 1 else ''}be classified, and no other was tried:"
        raise UserError("\n".join([heading, *problems] if len(images) > 1 else problems), status=1)


def predict(predictor: Callable[[list], dict], files: list[bytes]) -> list[np.ndarray | str]:
    """Classify a batch of image files, and return the class scores or an error message for each file.

    Args:
        predictor: function of encoded images to {output: array}: a client or a local predictor.
        files: the contents of the files.

    Returns:
        For each file the scores of shape (classes,), or the text of the error.
    """
    import numpy as np

    from ..serving.answers import checked_outputs
    from ..serving.clients import RequestRefused

    if not files:
        return []
    try:
        rows = checked_outputs(predictor(files), len(files), "the model")["lengths"]
        return [row if np.isfinite(row).all() else "the scores are not finite numbers" for row in rows]
    except RequestRefused as error:
        if len(files) == 1:
            return [root_cause(str(error)) or "the model refuses it"]
    half = len(files) // 2  # a decoder's message does not name the image
    return predict(predictor, files[:half]) + predict(predictor, files[half:])


def _read_labels(path):
    """Read class names from a text file with one name per line, and leave out empty lines at the end."""
    try:
        return read_text(path).rstrip().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise UserError(f"--labels={path} cannot be read: {reason}.") from None


def _read(path):
    try:
        refuse_devices(Path(path))
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
