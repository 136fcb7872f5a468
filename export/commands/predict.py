"""`encapnet predict`: image files classified by a run, a model file, an export or a server."""

import re
from pathlib import Path

from ...trainers.runs.errors import UserError

_BATCH = 64
_SHOWN = 3  # classes an image


def add_arguments(parser):
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


def main(args):
    """The verb: prints a line for each image: its file, the class, and the scores of the first few."""
    if args.grpc and not args.url:
        raise UserError("--grpc needs --url=HOST:8500/v1/models/NAME, the server to ask.")
    images = args.paths if args.url else args.paths[1:]
    if not images:
        raise UserError(f"Say which images to classify, after the model: encapnet predict {args.paths[0]} IMAGE.png.")
    files = [_read(path) for path in images]
    if args.url:
        from ..serving.clients import client

        score, names = client(args.url, args.grpc, args.timeout), None
    else:
        from ..serving.local_model import local_model

        score, names = local_model(args.paths[0])
    if args.labels:
        names = _read(args.labels).decode(errors="replace").splitlines()
    width = max(map(len, images))
    for first in range(0, len(files), _BATCH):
        part = slice(first, first + _BATCH)
        lengths = predict(score, files[part], images[part])["lengths"]
        for path, own in zip(images[part], lengths, strict=True):
            print(f"{path:<{width}}  {_line(own, names)}")


def predict(score, files, paths) -> dict:
    """Scores a batch; where it is refused, says which file is at fault.

    Args:
        score: function of encoded images to outputs, as in `clients` and `local_model`.
        files: list of bytes.
        paths: their names, for the message.

    Returns:
        {output: array}.

    Raises:
        UserError: an image is refused.
    """
    from ..serving.clients import Refused

    try:
        return score(files)
    except Refused as error:
        if len(files) > 1:  # a decoder's message does not say which
            for file, path in zip(files, paths, strict=True):
                predict(score, [file], [path])
        raise UserError(f"{paths[0]}: {_essence(str(error))}", status=1) from None


def _essence(message):
    """What a server says, without what TensorFlow puts round it."""
    if found := re.search(r"assertion failed: \[(?:image \d+ of the batch )?(.*?)\]", message, re.S):
        return found[1]
    message = re.sub(r"\{\{function_node .*?\}\}|\[\[.*?\]\]|\[Op:.*?\]", "", message)
    noise = ("Graph execution error", "Detected at node", "<stack traces")
    lines = [line.strip() for line in message.splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(noise))


def _line(lengths, names):
    order = lengths.argsort()[::-1][:_SHOWN]
    if names is not None and len(names) != len(lengths):
        raise UserError(f"There are {len(names)} class names for {len(lengths)} scores.")
    return "  ".join(f"{i if names is None else names[i]} {lengths[i]:.3f}" for i in order)


def _read(path):
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
