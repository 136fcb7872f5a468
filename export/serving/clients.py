"""REST and gRPC clients for models on a TF Serving server, which trust nothing that the server answers.

REST needs the standard library only, gRPC the package grpcio (extra `serving`).

Each is a callable from encoded images, a list of bytes, to {output: array (batch, ...)}; it raises `RequestRefused`.
"""

import base64
import http.client
import importlib.util
import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

import numpy as np

from ...trainers.runs.errors import UserError
from ...trainers.runs.installation import install_command
from ...trainers.runs.json_files import parse_json
from .answers import checked_outputs
from .deadline import within

_SIGNATURE = "serve_bytes"
_MAX_ERROR_CHARACTERS = 2000  # of a server's answer, quoted in our message
_MAX_SENT_BYTES = 1 << 28  # of a gRPC message
_MAX_ANSWER_BYTES = 1 << 20  # for each image, and once more: a thousand classes of 16 components take a third of it
_CHUNK_BYTES = 1 << 16
_OF_IMAGES = (400, 413, 422)  # HTTP statuses that blame the request, so that fewer images may be classified


class RequestRefused(Exception):
    """Error raised if a local model or a model server rejects a prediction request.

    The message is the model's.
    """


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Handler that refuses redirects, because images would be sent to a server that the user did not name."""

    def redirect_request(self, *args):
        return None


@dataclass(frozen=True)
class RestClient:
    """A client that classifies images through TF Serving's REST interface.

    Attributes:
        url: of the model, http://HOST:8501/v1/models/NAME; with "/versions/2" at the end, of its version 2.
        timeout: seconds within which the whole answer must have arrived.
    """

    url: str
    timeout: float = 30.0

    def __call__(self, files) -> dict:
        rows = [{"b64": base64.b64encode(file).decode()} for file in files]
        body = json.dumps({"signature_name": _SIGNATURE, "instances": rows}).encode()
        request = urllib.request.Request(f"{self.url}:predict", body, {"Content-Type": "application/json"})
        limit = _MAX_ANSWER_BYTES * (len(files) + 1)
        try:
            status, answer = within(self.timeout, lambda: _send(request, self.timeout, limit))
        # OSError: a timeout, a broken connection. HTTPException: an answer of the gRPC port. ValueError: no host name.
        except (OSError, http.client.HTTPException, ValueError) as error:
            cause = getattr(error, "reason", None) or (str(error) if isinstance(error, OSError) else repr(error))
            raise UserError(_no_answer_message(self.url, cause), status=1) from None
        if len(answer) > limit:
            raise UserError(
                f"The answer of {self.url} has more than {limit:,} bytes, which no answer for {len(files)} images "
                "needs. Check host and port.",
                status=1,
            )
        if status != 200:
            message = _error_message(status, answer)
            if status in _OF_IMAGES:
                raise RequestRefused(message)
            raise UserError(_refusal_message(self.url, message), status=1)
        return checked_outputs(_outputs(self.url, answer, len(files)), len(files), self.url)


def _send(request: urllib.request.Request, timeout: float, limit: int) -> tuple[int, bytes]:
    """Send an HTTP request, and return the status and the body of the answer, cut off one byte after a limit."""
    deadline = time.monotonic() + timeout
    try:
        response = urllib.request.build_opener(_NoRedirects).open(request, timeout=timeout)
    except urllib.error.HTTPError as error:  # an answer, too
        response = error
    chunks, size = [], 0
    with response:
        while size <= limit and time.monotonic() < deadline:  # after the deadline nobody waits for it
            chunk = response.read1(_CHUNK_BYTES)
            if not chunk:
                break
            chunks.append(chunk)
            size += len(chunk)
    return response.status, b"".join(chunks)


def _outputs(url: str, answer: bytes, images: int) -> dict:
    """Return the outputs in the body of a TF Serving answer, a dictionary of arrays that are not checked.

    Raises:
        UserError: it is not JSON of the form {"predictions": [{output: value}, ...]}.
    """
    try:
        rows = parse_json(answer.decode("utf-8"))["predictions"]
        if not isinstance(rows, list) or len(rows) != images:
            raise ValueError
        return {name: np.array([row[name] for row in rows]) for name in rows[0]} if images else {}
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        raise UserError(
            f"The answer of {url} is not one of TF Serving for {images} images: {answer[:200]!r}. Check host and port.",
            status=1,
        ) from None


def _error_message(status: int, body: bytes) -> str:
    """Return the error message in the body of an HTTP error response, which may have several lines."""
    text = body[: 4 * _MAX_ERROR_CHARACTERS].decode("utf-8", errors="replace")
    try:
        message = parse_json(text)["error"]
    except (ValueError, LookupError, TypeError):
        message = None
    if not isinstance(message, str):
        message = f"{text} (HTTP {status} {http.client.responses.get(status, '')})"
    return message[:_MAX_ERROR_CHARACTERS]


def _refusal_message(url, message):
    return f"{url} refuses the request: {' '.join(message.split())}"


def _no_answer_message(url, reason):
    reason = " ".join(str(reason).split())
    return (
        f"No answer from {url}: {reason}. Is the server up? `docker compose --file EXPORT/serving/compose.yaml up` "
        "starts one, with REST on port 8501 and gRPC on port 8500."
    )


@dataclass(frozen=True)
class GrpcClient:
    """A client that classifies images through TF Serving's gRPC interface.

    Its messages are a third smaller than those of REST.

    Attributes:
        url: of the model, HOST:8500/v1/models/NAME: as in REST, but for the port.
        timeout: seconds within which the whole answer must have arrived.
    """

    url: str
    timeout: float = 30.0

    def __call__(self, files) -> dict:
        import grpc

        from .messages import PredictResponse, predict_request

        parts = urllib.parse.urlsplit(self.url if "//" in self.url else f"//{self.url}")
        name, version = _model_and_version(self.url, parts.path)
        request = predict_request(name, _SIGNATURE, list(files), version)
        limits = {"send": _MAX_SENT_BYTES, "receive": _MAX_ANSWER_BYTES * (len(files) + 1)}
        options = [(f"grpc.max_{way}_message_length", limit) for way, limit in limits.items()]
        with grpc.insecure_channel(parts.netloc, options) as channel:
            predict = channel.unary_unary(
                "/tensorflow.serving.PredictionService/Predict",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=PredictResponse.FromString,
            )
            try:
                response = predict(request, timeout=self.timeout)
            except grpc.RpcError as error:
                code = error.code()
                message = (error.details() or code.name)[:_MAX_ERROR_CHARACTERS]
                if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise UserError(_no_answer_message(self.url, message), status=1) from None
                if code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED):
                    raise RequestRefused(message) from None
                raise UserError(_refusal_message(self.url, message), status=1) from None
        return checked_outputs(_arrays(self.url, response), len(files), self.url)


def _arrays(url: str, response) -> dict[str, np.ndarray]:
    """Convert the tensors of a gRPC answer to arrays, or raise UserError if they are damaged.

    A tensor may declare far more elements than it has, which would then be filled up with its last one.
    """
    import tensorflow as tf

    arrays = {}
    try:
        for name, tensor in response.outputs.items():
            elements = math.prod(dimension.size for dimension in tensor.tensor_shape.dim)
            if not 0 <= elements <= tensor.ByteSize():
                raise ValueError(f"{name} declares {elements:,} elements")
            arrays[name] = tf.make_ndarray(tensor)
    except Exception as error:  # of protocol buffers, NumPy and TensorFlow
        raise UserError(
            f"The answer of {url} is not one of TF Serving: {error}. Check host and port.", status=1
        ) from None
    return arrays


def client(url: str, grpc: bool, timeout: float) -> "RestClient | GrpcClient":
    """Return a REST or gRPC client for a model on a TF Serving server.

    Args:
        url: the model's, ending in /v1/models/NAME, or that of its requests, ending in /v1/models/NAME:predict.
        grpc: whether to speak gRPC instead of REST.
        timeout: seconds to wait for an answer.

    Raises:
        UserError: the address is malformed, or grpcio is not installed.
    """
    if not 0 < timeout < math.inf:
        raise UserError(f"--timeout={timeout}: expected a number of seconds above 0.")
    url = url.rstrip("/").removesuffix(":predict")  # as in the addresses of requests
    try:
        parts = urllib.parse.urlsplit(url if "//" in url else f"//{url}")
        has_host = bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError as error:  # the port is no number, or the brackets of an address are missing
        raise UserError(f"--url={url}: {error}.") from None
    if not has_host or not url.isascii() or not url.isprintable() or set(url) & set(" ?#@"):
        raise UserError(
            f"--url={url}: expected http://HOST:8501/v1/models/NAME, without blanks, a user's name and parameters."
        )
    _model_and_version(url, parts.path)
    if not grpc:
        if parts.scheme not in ("http", "https"):
            raise UserError(f"--url={url}: expected http://HOST:8501/v1/models/NAME.")
        return RestClient(url, timeout)
    if importlib.util.find_spec("grpc") is None:
        raise UserError(f"--grpc needs grpcio: {install_command('serving')}. REST needs no package.")
    return GrpcClient(url, timeout)


def _model_and_version(url, path):
    """Parse the model name and version from a TF Serving URL, or raise UserError if the URL is malformed.

    The version is None if the address has none.
    """
    parts = path.strip("/").split("/")
    if parts[:2] == ["v1", "models"] and len(parts) == 3 and parts[2]:
        return parts[2], None
    if parts[:2] == ["v1", "models"] and len(parts) == 5 and parts[3] == "versions" and parts[4].isdecimal():
        return parts[2], int(parts[4])
    raise UserError(
        f"--url={url}: expected an address that ends in /v1/models/NAME, with the name of the model at the server."
    )
