"""REST and gRPC clients for models on a TF Serving server.

REST needs the standard library only, gRPC the package grpcio (extra `serving`).

Each is a callable from encoded images, a list of bytes, to {output: array (batch, ...)}; it raises `RequestRefused`.
"""

import base64
import http.client
import importlib.util
import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

import numpy as np

from ...trainers.runs.errors import UserError
from ...trainers.runs.installation import install_command

_SIGNATURE = "serve_bytes"
_MAX_ERROR_CHARACTERS = 2000  # of a server's answer, quoted in our message
_MAX_MESSAGE_BYTES = 1 << 28  # of a gRPC message


class RequestRefused(Exception):
    """Error raised if a local model or a model server rejects a prediction request.

    The message is the model's.
    """


@dataclass(frozen=True)
class RestClient:
    """A client that classifies images through TF Serving's REST interface.

    Attributes:
        url: of the model, http://HOST:8501/v1/models/NAME; with "/versions/2" at the end, of its version 2.
        timeout: seconds to wait for an answer.
    """

    url: str
    timeout: float = 30.0

    def __call__(self, files) -> dict:
        rows = [{"b64": base64.b64encode(file).decode()} for file in files]
        body = json.dumps({"signature_name": _SIGNATURE, "instances": rows}).encode()
        request = urllib.request.Request(f"{self.url}:predict", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                answer = response.read()
        except urllib.error.HTTPError as error:
            raise RequestRefused(_error_message(error)) from None
        except OSError as error:  # URLError, a timeout, a broken connection
            raise UserError(_no_answer_message(self.url, getattr(error, "reason", error)), status=1) from None
        except http.client.HTTPException as error:  # an answer of the gRPC port, or a port that is no number
            raise UserError(_no_answer_message(self.url, repr(error)), status=1) from None
        try:
            rows = json.loads(answer)["predictions"]
            return {name: np.array([row[name] for row in rows]) for name in rows[0]}
        except (ValueError, LookupError, TypeError):
            raise UserError(
                f"The answer of {self.url} is not one of TF Serving: {answer[:200]!r}. Check host and port.", status=1
            ) from None


def _error_message(error):
    """Return the error message in the body of an HTTP error response."""
    text = error.read().decode(errors="replace")
    try:
        text = json.loads(text)["error"]
    except (ValueError, LookupError, TypeError):
        text = f"{text} (HTTP {error.code})"
    return text[:_MAX_ERROR_CHARACTERS]


def _no_answer_message(url, reason):
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
        timeout: seconds to wait for an answer.
    """

    url: str
    timeout: float = 30.0

    def __call__(self, files) -> dict:
        import grpc
        import tensorflow as tf

        from .messages import PredictResponse, predict_request

        parts = urllib.parse.urlsplit(self.url if "//" in self.url else f"//{self.url}")
        name, version = _model_and_version(self.url, parts.path)
        request = predict_request(name, _SIGNATURE, list(files), version)
        sizes = [(f"grpc.max_{way}_message_length", _MAX_MESSAGE_BYTES) for way in ("send", "receive")]
        with grpc.insecure_channel(parts.netloc, sizes) as channel:
            predict = channel.unary_unary(
                "/tensorflow.serving.PredictionService/Predict",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=PredictResponse.FromString,
            )
            try:
                response = predict(request, timeout=self.timeout)
            except grpc.RpcError as error:
                if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise UserError(_no_answer_message(self.url, error.details()), status=1) from None
                raise RequestRefused(error.details()[:_MAX_ERROR_CHARACTERS]) from None
        return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}


def client(url: str, grpc: bool, timeout: float) -> "RestClient | GrpcClient":
    """Return a REST or gRPC client for a model on a TF Serving server.

    Args:
        url: the model's, ending in /v1/models/NAME, or that of its requests, ending in /v1/models/NAME:predict.
        grpc: whether to speak gRPC instead of REST.
        timeout: seconds to wait for an answer.

    Raises:
        UserError: the address is malformed, or grpcio is not installed.
    """
    if timeout <= 0:
        raise UserError(f"--timeout={timeout}: expected a number of seconds above 0.")
    url = url.rstrip("/").removesuffix(":predict")  # as in the addresses of requests
    parts = urllib.parse.urlsplit(url if "//" in url else f"//{url}")
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
