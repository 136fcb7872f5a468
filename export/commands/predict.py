"""The command `encapnet predict`, which classifies image files with a local model or a TF Serving server.

A local model is a run, a model file or an export.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from ...trainers.runs.counting import counted
from ...trainers.runs.errors import UserError, root_cause

_BATCH = 64
_PRINTED_CLASSES = 3  # of each image


def add_arguments(parser: argparse.ArgumentParser):
    """Add the command-line flags of `encapnet predict` to an argument parser."""
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="path",
        help="A run's folder, an export's or a .keras file, then image files; with --url image files alone.",
    )
    parser.add_argument(
        "--url", help="Ask a TF Serving: http://HOST:8501/v1/models/NAME (with --grpc HOST:8500/v1/...)."
    )
    parser.add_argument("--grpc", action="store_true", help="Ask by gRPC instead of REST; needs the extra `serving`.")
    parser.add_argument("--labels", help="File of class names, one a line. Default: the run's or the export's.")
    parser.add_argument("--timeout", type=float, default=30.0, help="Seconds to wait for a server. Default: 30.")


def check_arguments(args: argparse.Namespace):
    """Check the flags of `encapnet predict`, and raise `UserError` for image files that cannot be read."""
    if args.grpc and not args.url:
        raise UserError("--grpc needs --url=HOST:8500/v1/models/NAME, the server to ask.")
    if not _images(args):
        raise UserError(f"Name the images to classify after the model: encapnet predict {args.paths[0]} IMAGE.png.")
    for path in _images(args):
        _read(path)


def _images(args) -> list[str]:
    return args.paths if args.url else args.paths[1:]


def main(args: argparse.Namespace):
    """Run the command `encapnet predict`, which prints the highest-scoring classes of each image file."""
    images = _images(args)
    files = [_read(path) for path in images]
    predictor: Callable[[list], dict]
    names: list[str] | None
    if args.url:
        from ..serving.clients import client

        predictor, names = client(args.url, args.grpc, args.timeout), None
    else:
        from ..local_predictor import load_predictor

        predictor, names = load_predictor(args.paths[0])
    if args.labels:
        names = _read(args.labels).decode(errors="replace").splitlines()
    width = max(map(len, images))
    for first in range(0, len(files), _BATCH):
        part = slice(first, first + _BATCH)
        scores = predict(predictor, files[part], images[part])["lengths"]
        for path, row in zip(images[part], scores, strict=True):
            print(f"{path:<{width}}  {_best_classes(row, names)}")


def predict(predictor: Callable[[list], dict], files: list, paths: list) -> dict:
    """Classify a batch of image files, or raise an error that names the first file that cannot be classified.

    Args:
        predictor: function of encoded images to {output: array}: a client or a local predictor.
        files: list of bytes.
        paths: of the files, for the message.

    Returns:
        {output: array}.

    Raises:
        UserError: an image is refused.
    """
    from ..serving.clients import RequestRefused

    try:
        return predictor(files)
    except RequestRefused as error:
        if len(files) > 1:  # a decoder's message does not name the image: try one after another
            for file, path in zip(files, paths, strict=True):
                predict(predictor, [file], [path])
        raise UserError(f"{paths[0]}: {root_cause(str(error))}", status=1) from None


def _best_classes(scores, names):
    order = scores.argsort()[::-1][:_PRINTED_CLASSES]
    if names is not None and len(names) != len(scores):
        raise UserError(
            f"Received {counted(len(names), 'class name')} for {counted(len(scores), 'score')}. --labels needs "
            "one line for each class."
        )
    return "  ".join(f"{i if names is None else names[i]} {scores[i]:.3f}" for i in order)


def _read(path):
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
