"""Clients of a TensorFlow Serving: REST by the standard library, gRPC by grpcio (extra `serving`).

Each is a function of encoded images, list of bytes, to {output: array (batch, ...)}; it raises `Refused`.
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

_SIGNATURE = "serve_bytes"
_MOST_ERROR = 2000  # characters of a server's answer that a message repeats
_MOST_BYTES = 1 << 28  # of a gRPC message


class Refused(Exception):
    """A model, here or at a server, does not take the images: what it said."""


@dataclass(frozen=True)
class RestClient:
    """Asks over HTTP.

    Attributes:
        url: of the model: http://HOST:8501/v1/models/NAME; ".../versions/2" asks for that version.
        timeout: seconds.
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
            raise Refused(_told(error)) from None
        except OSError as error:  # URLError, a timeout, a connection that breaks off
            raise UserError(_silent(self.url, getattr(error, "reason", error)), status=1) from None
        except http.client.HTTPException as error:  # the gRPC port, a port that is no number
            raise UserError(_silent(self.url, repr(error)), status=1) from None
        try:
            rows = json.loads(answer)["predictions"]
            return {name: np.array([row[name] for row in rows]) for name in rows[0]}
        except (ValueError, LookupError, TypeError):
            raise UserError(f"{self.url} answers, but not as TF Serving does: {answer[:200]!r}.", status=1) from None


def _told(error):
    text = error.read().decode(errors="replace")
    try:
        text = json.loads(text)["error"]
    except (ValueError, LookupError, TypeError):
        text = f"{text} (HTTP {error.code})"
    return text[:_MOST_ERROR]


def _silent(url, reason):
    return (
        f"No answer from {url}: {reason}. Is the server up? `docker compose --file EXPORT/serving/compose.yaml up` "
        "starts one, with REST on port 8501 and gRPC on 8500."
    )


@dataclass(frozen=True)
class GrpcClient:
    """Asks by gRPC, a third smaller on the wire and faster with large images.

    Attributes:
        url: HOST:8500/v1/models/NAME; the path is as in REST, so that one port is all that differs.
        timeout: seconds.
    """

    url: str
    timeout: float = 30.0

    def __call__(self, files) -> dict:
        import grpc
        import tensorflow as tf

        from .messages import PredictResponse, predict_request

        parts = urllib.parse.urlsplit(self.url if "//" in self.url else f"//{self.url}")
        name, version = _path(self.url, parts.path)
        request = predict_request(name, _SIGNATURE, list(files), version)
        sizes = [(f"grpc.max_{way}_message_length", _MOST_BYTES) for way in ("send", "receive")]
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
                    raise UserError(_silent(self.url, error.details()), status=1) from None
                raise Refused(error.details()[:_MOST_ERROR]) from None
        return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}


def client(url: str, grpc: bool, timeout: float):
    """The client for an address.

    Args:
        url: the model's, ending in /v1/models/NAME.
        grpc: whether to speak gRPC instead of REST.
        timeout: seconds.

    Raises:
        UserError: the address is none, or grpcio is not installed.
    """
    if timeout <= 0:
        raise UserError(f"--timeout={timeout}: expected a number of seconds above 0.")
    parts = urllib.parse.urlsplit(url if "//" in url else f"//{url}")
    _path(url, parts.path)
    if not grpc:
        if parts.scheme not in ("http", "https"):
            raise UserError(f"--url={url}: expected http://HOST:8501/v1/models/NAME.")
        return RestClient(url.rstrip("/"), timeout)
    if importlib.util.find_spec("grpc") is None:
        raise UserError('--grpc needs grpcio: pip install "encapnet_tf[serving]". REST needs nothing.')
    return GrpcClient(url, timeout)


def _path(url, path):
    """Name and version (or None) of the model at an address."""
    parts = path.strip("/").split("/")
    if parts[:2] == ["v1", "models"] and len(parts) == 3 and parts[2]:
        return parts[2], None
    if parts[:2] == ["v1", "models"] and len(parts) == 5 and parts[3] == "versions" and parts[4].isdecimal():
        return parts[2], int(parts[4])
    raise UserError(f"--url={url}: expected an address that ends in /v1/models/NAME, the name that the server knows.")
