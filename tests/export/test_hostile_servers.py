"""Servers that answer with anything: the client says one sentence within its time limit and keeps its memory."""

import contextlib
import json
import socket
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from encapnet_tf.export.commands.predict import predict
from encapnet_tf.export.serving import clients
from encapnet_tf.export.serving.answers import checked_outputs
from encapnet_tf.export.serving.clients import RequestRefused, RestClient, client
from encapnet_tf.export.serving.deadline import within
from encapnet_tf.trainers.runs.errors import UserError

GOOD = {"lengths": [0.1, 0.9], "label": 1, "capsules": [[0.1], [0.9]]}


@contextlib.contextmanager
def server(answer):
    """Yield the address of a server that sends each connection what `answer(connection)` sends."""

    def handle(connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            connection.recv(1 << 16)
            answer(connection)

    def accept():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1/models/digits"
        listening.shutdown(socket.SHUT_RDWR)


def http_answer(body, status="200 OK", headers=""):
    body = body if isinstance(body, bytes) else body.encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n".encode() + body


def ask(answer, timeout=5.0, files=(b"image",)):
    send = answer if callable(answer) else lambda connection: connection.sendall(answer)
    with server(send) as url:
        return RestClient(url, timeout)(list(files))


def rows(*changes):
    return http_answer(json.dumps({"predictions": [{**GOOD, **change} for change in changes]}))


def test_a_good_answer():
    outputs = ask(rows({}, {"unknown": "dropped"}), files=(b"a", b"b"))
    assert set(outputs) == set(GOOD)
    np.testing.assert_array_equal(outputs["label"], [1, 1])


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0\0\0",
        b"HTTP/1.1 200",
        b"HTTP/9.9 abc def\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        http_answer(""),
        http_answer("<html>"),
        http_answer(b"\xff\xfe"),
        http_answer("null"),
        http_answer("3"),
        http_answer("[]"),
        http_answer("{}"),
        http_answer("[" * 100_000),
        http_answer('{"predictions": ' + "[" * 900 + "]" * 900 + "}"),
        http_answer('{"predictions": null}'),
        http_answer('{"predictions": []}'),
        http_answer('{"predictions": {"0": {}}}'),
        http_answer('{"predictions": [3]}'),
        http_answer('{"predictions": ["lengths"]}'),
        http_answer('{"predictions": [{}]}'),
        http_answer('{"predictions": [{"label": 3}]}'),
        rows(),
        rows({}, {}),
        rows({"lengths": None}),
        rows({"lengths": "NaN"}),
        rows({"lengths": ["NaN", "x"]}),
        rows({"lengths": [True, False]}),
        rows({"lengths": []}),
        rows({"lengths": 0.5}),
        rows({"lengths": [[0.1], [0.2]]}),
        rows({"lengths": [[0.1], 0.2]}),
        rows({"lengths": [10**400, 1]}),
        rows({"lengths": {"0": 1}}),
        rows({"label": 2}),
        rows({"label": -1}),
        rows({"label": 0.5}),
        rows({"label": [0]}),
        rows({"capsules": [0.1, 0.2]}),
        rows({"capsules": [[0.1]]}),
        http_answer("", "302 Found", "Location: http://127.0.0.1:1/\r\n"),
        http_answer("", "307 Temporary Redirect", "Location: file:///etc/passwd\r\n"),
        http_answer("", "401 Unauthorized"),
        http_answer("", "404 Not Found"),
        http_answer('{"error": ["no text"]}', "500 Internal Server Error"),
        http_answer("[" * 50_000, "503 Service Unavailable"),
        http_answer("x" * 5_000_000, "500 Internal Server Error"),
        http_answer("", "999 ?"),
    ],
)
def test_one_sentence(answer):
    with pytest.raises(UserError) as error:
        ask(answer)
    assert error.value.status == 1
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 3000


def test_an_answer_for_other_images():
    with pytest.raises(UserError, match="not one of TF Serving for 2 images"):
        ask(rows({}), files=(b"a", b"b"))
    with pytest.raises(UserError, match="not one of TF Serving for 2 images"):
        ask(http_answer(json.dumps({"predictions": [GOOD, {"label": 1}]})), files=(b"a", b"b"))


def test_scores_that_are_no_numbers_are_no_class():
    with server(lambda connection: connection.sendall(rows({"lengths": [float("nan"), 0.1]}))) as url:
        assert predict(RestClient(url, 5), [b"image"]) == ["the scores are not finite numbers"]


def test_statuses_that_blame_the_image_are_refusals():
    for status in ("400 Bad Request", "413 Too Large", "422 ?"):
        with pytest.raises(RequestRefused, match=r"^no\nimage$"):
            ask(http_answer('{"error": "no\\nimage"}', status))


def _drip(head):
    def answer(connection):
        connection.sendall(head)
        while True:
            connection.sendall(b" ")
            time.sleep(0.05)

    return answer


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n{", b"HTTP/1.1 500 ?\r\n\r\n"]
)
def test_the_time_limit_is_that_of_the_whole_answer(head):
    start = time.monotonic()
    with pytest.raises(UserError, match=r"no complete answer within 0\.4 s|not one of TF Serving|refuses the request"):
        ask(_drip(head), timeout=0.4)
    assert time.monotonic() - start < 3


def test_a_silent_server():
    with pytest.raises(UserError, match=r"No answer from .*: (there was no complete answer within 0.2 s|timed out)"):
        ask(lambda connection: time.sleep(2), timeout=0.2)


def test_an_endless_answer(monkeypatch):
    monkeypatch.setattr(clients, "_MAX_ANSWER_BYTES", 1 << 16)

    def answer(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b" " * 65536)

    with pytest.raises(UserError, match="has more than 131,072 bytes, which no answer for 1 images needs"):
        ask(answer)


def test_errors_of_the_work_are_raised():
    assert within(5, lambda: 3) == 3
    with pytest.raises(KeyError):
        within(5, lambda: {}["missing"])


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///v1/models/x",
        "http://[::1/v1/models/x",
        "http://host:99999/v1/models/x",
        "http://user:secret@host/v1/models/x",
        "http://host/v1/models/x?key=3",
        "http://host/v1/models/x#part",
        "http://ho st/v1/models/x",
        "http://höst/v1/models/x",
        "http://host/v1/models/x\n",
        "file:///v1/models/x",
        "ftp://host/v1/models/x",
        "http://host/v1/models/",
    ],
)
def test_addresses(url):
    with pytest.raises(UserError, match="--url="):
        client(url, False, 3)


def test_time_limits_of_the_python_client():
    for timeout in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UserError, match="above 0"):
            client("http://host/v1/models/x", False, timeout)


def test_outputs_of_local_models_are_checked_too():
    with pytest.raises(UserError, match="it has no output lengths"):
        predict(lambda files: {"scores": np.ones((1, 2))}, [b""])
    with pytest.raises(UserError, match="for 2 images, found shape"):
        predict(lambda files: {"lengths": np.ones((1, 2))}, [b"", b""])
    assert checked_outputs({"lengths": np.zeros((0, 3))}, 0, "x")["lengths"].shape == (0, 3)


@pytest.fixture
def grpc_answer(monkeypatch):
    """Let the gRPC client receive a response, without a server."""
    pytest.importorskip("grpc")
    import grpc

    def answer(response):
        channel = SimpleNamespace(unary_unary=lambda *args, **options: lambda request, timeout: response)
        monkeypatch.setattr(grpc, "insecure_channel", lambda *args: contextlib.nullcontext(channel))
        return clients.GrpcClient("host:8500/v1/models/digits", 3)([b"image"])

    return answer


def test_grpc_tensors(grpc_answer):
    import tensorflow as tf
    from encapnet_tf.export.serving.messages import PredictResponse

    def response(**tensors):
        message = PredictResponse()
        for name, tensor in tensors.items():
            message.outputs[name].CopyFrom(tensor)
        return message

    good = tf.make_tensor_proto(np.array([[0.1, 0.9]], "float32"))
    assert grpc_answer(response(lengths=good))["lengths"].shape == (1, 2)
    huge = tf.make_tensor_proto(np.array([[0.5]], "float32"))
    huge.tensor_shape.dim[1].size = 1 << 40  # one number, which would be repeated
    negative = tf.make_tensor_proto(np.array([[0.5]], "float32"))
    negative.tensor_shape.dim[1].size = -3
    cut = tf.make_tensor_proto(np.zeros((1, 9), "float32"))
    cut.tensor_content = cut.tensor_content[:7]
    unknown = tf.make_tensor_proto(np.zeros((1, 9), "float32"))
    unknown.dtype = 99
    for tensors in (
        {},
        {"lengths": huge},
        {"lengths": negative},
        {"lengths": cut},
        {"lengths": unknown},
        {"lengths": tf.make_tensor_proto([["a", "b"]])},
        {"lengths": good, "label": tf.make_tensor_proto(np.array([2]))},
        {"lengths": good, "label": tf.make_tensor_proto(np.array([0, 1]))},
    ):
        with pytest.raises(UserError, match="The answer of host:8500"):
            grpc_answer(response(**tensors))
