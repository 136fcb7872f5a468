"""`encapnet predict`: equal answers from a run, a model file, an export, and servers by REST and gRPC."""

import argparse
import contextlib
import csv
import functools
import http.server
import io
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.export import local_predictor
from encapnet_tf.export.artefacts.preprocessing import Preprocessing
from encapnet_tf.export.commands import predict as predict_command
from encapnet_tf.export.local_predictor import load_predictor
from encapnet_tf.export.serving.clients import client
from encapnet_tf.export.verification.runtimes import LiteModel
from encapnet_tf.trainers.data.augmentation.views import Views
from encapnet_tf.trainers.data.sources.digits import load_digits
from encapnet_tf.trainers.evaluation.predictions import saved_model
from encapnet_tf.trainers.runs.errors import UserError

from tests.export.servers import grpc_server, rest_server
from tests.trainers.data.image_bytes import encoded


def predict(*arguments):
    parser = argparse.ArgumentParser()
    predict_command.add_arguments(parser)
    args = parser.parse_args([str(argument) for argument in arguments])
    predict_command.check_arguments(args)
    predict_command.main(args)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Write three digits as image files, and files that are refused."""
    folder = tmp_path_factory.mktemp("images")
    for i, pixels in enumerate(load_digits().test.images[:3, ..., 0]):
        (folder / f"{i}.png").write_bytes(encoded(pixels))
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:60])
    (folder / "scan.tif").write_bytes(encoded(np.zeros((8, 8), np.uint8), "TIFF"))
    (folder / "text.txt").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def sources(exported):
    """Return the kinds of model: name -> arguments of `encapnet predict` before the images."""
    version = exported.path / "saved_model" / "1"
    with contextlib.ExitStack() as stack:
        rest = stack.enter_context(rest_server(version, "digits"))
        arguments = {
            "run": [exported.run],
            "export": [exported.path],
            "version": [version],
            "file": [exported.run / "best.keras"],
            "tflite": [exported.path / "digits.tflite"],
            "rest": [f"--url={rest}"],
        }
        with contextlib.suppress(ImportError):
            arguments["grpc"] = ["--grpc", f"--url={stack.enter_context(grpc_server(version, 'digits'))}"]
        yield arguments


@pytest.fixture(scope="module", autouse=True)
def _predictors_loaded_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_predictor, "load_predictor", functools.cache(load_predictor))
        yield


SOURCES = ["run", "export", "version", "file", "tflite", "rest", "grpc"]


@pytest.fixture
def source(request, sources):
    if request.param == "grpc":
        pytest.importorskip("grpc")
    return sources[request.param]


@pytest.mark.parametrize("source", SOURCES, indirect=True)
def test_answers(source, sources, images, capsys):
    files = [images / f"{i}.png" for i in range(3)]
    predict(*sources["export"], *files)
    expected = capsys.readouterr().out
    predict(*source, *files)
    assert capsys.readouterr().out == expected
    first = [line.split()[1] for line in expected.splitlines()]
    assert len(first) == 3
    assert set(first) <= set("0123456789")


@pytest.mark.parametrize("source", SOURCES, indirect=True)
def test_refused_images_are_named_and_the_server_goes_on(source, images, capsys):
    good = images / "0.png"
    for name, message in (("cut.png", "PNG"), ("scan.tif", "is a TIFF file"), ("text.txt", "is no image file")):
        with pytest.raises(UserError, match=message) as error:
            predict(*source, images / name, good, images / name)
        assert error.value.status == 1
        assert capsys.readouterr().out.startswith(str(good)), "the others are classified"
        assert name in str(error.value)
        assert "Graph execution" not in str(error.value)
        assert "{{node" not in str(error.value)
    predict(*source, good)
    assert capsys.readouterr().out


def test_folders_stand_for_their_images(sources, images, capsys, tmp_path, monkeypatch):
    (tmp_path / "zero").mkdir()
    for name in ("1.PNG", "zero/0.png", "notes.md"):
        shutil.copy(images / "0.png", tmp_path / name)
    predict(*sources["run"], tmp_path, tmp_path / "1.PNG")
    paths = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert paths == [str(tmp_path / name) for name in ("1.PNG", "zero/0.png")]
    with pytest.raises(UserError, match=r"1 of 3 files could not be classified:\nnowhere.png cannot be read: No such"):
        predict(*sources["run"], "nowhere.png", tmp_path)
    monkeypatch.setattr(predict_command, "_BATCH", 1)
    with pytest.raises(UserError, match=r"The first file could not be classified, and no other was tried:"):
        predict(*sources["run"], "nowhere.png", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no images"):
        predict(*sources["run"], tmp_path / "empty")


def test_quoted_patterns_stand_for_what_matches(sources, images, capsys, tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("b.png", "a.png", "deep/er/c.png", "[1].png"):
        shutil.copy(images / "0.png", tmp_path / name)
    predict(*sources["run"], tmp_path / "**" / "[a-c].png", tmp_path / "[1].png", tmp_path / "dee?")
    paths = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert paths == [str(tmp_path / name) for name in ("a.png", "b.png", "deep/er/c.png", "[1].png")]


@pytest.mark.parametrize("source", SOURCES, indirect=True)
def test_formats(source, images, capsys, tmp_path):
    """Every source gives the records of the text, with the scores of all classes, and no message among them."""
    shutil.copy(images / "0.png", tmp_path / 'a, "b".png')
    files = [tmp_path / 'a, "b".png', images / "1.png"]
    predict(*source, *files)
    lines = capsys.readouterr().out.splitlines()
    labels = [line.removeprefix(str(file)).split()[0] for line, file in zip(lines, files, strict=True)]
    with pytest.raises(UserError, match=r"cut\.png"):
        predict(*source, images / "cut.png", *files, "--format=json")
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["file"] for record in records] == [str(file) for file in files]
    assert [str(record["label"]) for record in records] == labels
    knows_names = Path(source[-1]).name != "best.keras" and not str(source[-1]).startswith("--url")
    for record in records:
        assert len(record["lengths"]) == 10
        assert record["length"] == max(record["lengths"]) == record["lengths"][record["label"]]
        assert record["class_name"] == (str(record["label"]) if knows_names else None)
    predict(*source, *files, "--format=csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["file"] for row in rows] == [str(file) for file in files]
    for row, record in zip(rows, records, strict=True):
        lengths = [float(row[f"length_{i}"]) for i in range(10)]
        np.testing.assert_allclose(lengths, record["lengths"], atol=1e-6)  # of another batch
        assert (row["label"], row["class_name"]) == (str(record["label"]), record["class_name"] or "")


def test_every_tflite_file_of_an_export(exported, images, capsys):
    """Also int8, whose numbers are scaled."""
    files = [images / f"{i}.png" for i in range(3)]
    predict(exported.path, *files, "--format=json")
    expected = [json.loads(line)["lengths"] for line in capsys.readouterr().out.splitlines()]
    for path in sorted(exported.path.glob("*.tflite")):
        predict(path, *files, "--format=json")
        lengths = [json.loads(line)["lengths"] for line in capsys.readouterr().out.splitlines()]
        np.testing.assert_allclose(lengths, expected, atol=1e-4 if path.stem == "digits" else 0.1)


def test_tflite_files_without_their_export_or_with_another(exported, images, capsys, tmp_path):
    path = tmp_path / "moved.tflite"
    shutil.copy(exported.path / "digits.tflite", path)
    predict(path, images / "0.png", "--format=json")
    record = json.loads(capsys.readouterr().out)
    assert record["class_name"] is None
    predict(exported.path, images / "0.png", "--format=json")
    np.testing.assert_allclose(record["lengths"], json.loads(capsys.readouterr().out)["lengths"], atol=1e-4)
    metadata = json.loads((exported.path / "metadata.json").read_text())
    for image, message in (
        (
            metadata["image"] | {"seen": [16, 16, 3]},
            r"describes a model for images of \(16, 16, 3\), but .* \(8, 8, 1\)",
        ),
        ({"seen": [8, 8, 1]}, "it does not describe images"),
        (metadata["image"], "class names of the export cannot be read"),
    ):
        (tmp_path / "metadata.json").write_text(json.dumps(metadata | {"image": image}))
        with pytest.raises(UserError, match=message):
            load_predictor(path)
    path.write_bytes(b"no model")
    with pytest.raises(UserError, match=r"moved\.tflite cannot be loaded as a TFLite model"):
        load_predictor(path)


def test_a_tflite_file_crops_as_its_model_does(exported, tmp_path):
    """The export of a run with "++" enlarges images and takes their centre; metadata.json says so."""
    shutil.copytree(exported.path, tmp_path / "digits")
    metadata = json.loads((tmp_path / "digits" / "metadata.json").read_text())
    assert metadata["image"] == {"seen": [8, 8, 1], "stored": [8, 8, 1], "enlarge": 1.0, "single_size": None}
    earlier = {key: metadata["image"][key] for key in ("seen", "stored")}  # which had these alone
    configuration = metadata["about"]["configuration"] | {"augment": ["++"]}
    photo = encoded(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))
    expected = LiteModel(tmp_path / "digits" / "digits.tflite")(
        Preprocessing((8, 8), 1, Views((8, 8), 40 / 32)).of_files(tf.constant([photo])).numpy()
    )["lengths"]
    for change in (
        {"image": metadata["image"] | {"enlarge": 40 / 32}},
        {"image": earlier, "about": {"configuration": configuration}},
    ):
        (tmp_path / "digits" / "metadata.json").write_text(json.dumps(metadata | change))
        predictor, names = load_predictor(tmp_path / "digits" / "digits.tflite")
        assert names == list("0123456789")
        np.testing.assert_array_equal(predictor([photo])["lengths"], expected)


def test_scores_that_are_no_numbers_are_a_problem(images):
    def predictor(files):
        return {"lengths": np.array([[0.5, 0.1], [np.nan, 0.1]])}

    assert predict_command.predict(predictor, [b"", b""])[1] == "the scores are not finite numbers"


def test_labels(sources, images, capsys, tmp_path):
    (tmp_path / "names.txt").write_text("".join(f"number-{i}\n" for i in range(10)))
    predict(*sources["rest"], f"--labels={tmp_path / 'names.txt'}", images / "0.png")
    assert "number-" in capsys.readouterr().out
    (tmp_path / "names.txt").write_bytes("\r\n".join(["\ufeffzero", *"123456789", "", ""]).encode())
    predict(*sources["rest"], f"--labels={tmp_path / 'names.txt'}", images / "0.png")
    words = capsys.readouterr().out.split()[1:]
    assert set(words[::2]) <= {"zero", *"123456789"}, "as Windows writes text"
    (tmp_path / "names.txt").write_bytes("gr\xfcn\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"names.txt cannot be read: it is no text in UTF-8"):
        predict(*sources["rest"], f"--labels={tmp_path / 'names.txt'}", images / "0.png")
    (tmp_path / "names.txt").write_text("one\n")
    with pytest.raises(UserError, match="1 class name for 10 scores"):
        predict(*sources["rest"], f"--labels={tmp_path / 'names.txt'}", images / "0.png")


@pytest.mark.parametrize("source", ["rest", "grpc"], indirect=True)
def test_the_address_of_requests_is_understood(source, images, capsys):
    """Ending in `:predict`, as in every example of TF Serving."""
    predict(*source, images / "0.png")
    expected = capsys.readouterr().out
    for ending in (":predict", "/", ":predict/"):
        predict(*source[:-1], source[-1] + ending, images / "0.png")
        assert capsys.readouterr().out == expected


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_no_server(images):
    url = f"127.0.0.1:{free_port()}/v1/models/digits"
    with pytest.raises(UserError, match="No answer from"):
        predict(f"--url=http://{url}", images / "0.png")
    pytest.importorskip("grpc")
    with pytest.raises(UserError, match="No answer from"):
        predict("--grpc", f"--url={url}", "--timeout=5", images / "0.png")


@contextlib.contextmanager
def http_2_server():
    """Yield the port of a server that begins with an HTTP/2 frame, as a gRPC server does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet():
            connection, _ = listening.accept()
            with connection:
                connection.sendall(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)) + b"\n")
                while connection.recv(1 << 16):  # until the client gives up
                    pass

        threading.Thread(target=greet, daemon=True).start()
        yield listening.getsockname()[1]


def test_rest_on_a_grpc_port_and_on_a_bad_port(images):
    with http_2_server() as port, pytest.raises(UserError, match=r"BadStatusLine.*REST on port 8501"):
        predict(f"--url=http://127.0.0.1:{port}/v1/models/digits", images / "0.png")
    with pytest.raises(UserError, match="Port could not be cast to integer value as '85o1'"):
        predict("--url=http://127.0.0.1:85o1/v1/models/digits", images / "0.png")


def test_a_run_resizes_photos_to_its_stored_shape(exported, tmp_path):
    """As in an export, a photo is resized to the stored size, here 4x4, and then to the network's 8x8."""
    shutil.copytree(exported.run, tmp_path / "run")
    path = tmp_path / "run" / "summary.json"
    summary = json.loads(path.read_text())
    assert summary["stored_shape"] == [8, 8, 1]
    path.write_text(json.dumps(summary | {"stored_shape": [4, 4, 1]}))
    photo = encoded(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))
    predictor, _ = load_predictor(tmp_path / "run")
    model = saved_model(tmp_path / "run" / "best.keras")
    inputs = Preprocessing((4, 4), 1, Views((8, 8))).of_files(tf.constant([photo]))
    np.testing.assert_allclose(predictor([photo])["lengths"], model(inputs, training=False), atol=1e-5)
    original, _ = local_predictor.load_predictor(str(exported.run))  # loaded already
    assert np.abs(original([photo])["lengths"] - predictor([photo])["lengths"]).max() > 1e-3


def test_the_wrong_model_and_a_server_of_something_else(sources, images):
    with pytest.raises(UserError, match="Servable not found"):
        predict(sources["rest"][0].replace("digits", "other"), images / "0.png")

    class Other(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.raises(UserError, match="is not one of TF Serving"):
        predict(f"--url=http://127.0.0.1:{server.server_port}/v1/models/digits", images / "0.png")
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--grpc", "model", "image.png"], "--grpc needs --url"),
        (["model"], "Name the images"),
        (["nowhere", "image.png"], "cannot be read"),
        (["--url=localhost:8501/v1/models/digits", "IMAGE"], "expected http://HOST:8501"),
        (["--url=http://localhost:8501", "IMAGE"], "ends in /v1/models/NAME"),
        (["--url=http://localhost:8501/v1/models/x/versions/new", "IMAGE"], "ends in /v1/models/NAME"),
        (["--url=http://localhost/v1/models/x", "--timeout=0", "IMAGE"], "--timeout=0"),
        (["nowhere", "IMAGE"], "nowhere is no model: there is no such file or folder"),
        (["IMAGE", "IMAGE"], "is no model: it is another kind of file"),
        ([".", "IMAGE"], r"\. is no model: the folder has neither config.json"),
        (["nowhere", "*.nothing"], r"No file matches \*\.nothing"),
    ],
)
def test_wrong_arguments(arguments, message, images):
    with pytest.raises(UserError, match=message):
        predict(*(str(images / "0.png") if argument == "IMAGE" else argument for argument in arguments))


def test_a_folder_with_brackets(exported, images, tmp_path, monkeypatch, capsys):
    """TensorFlow finds no variables there, unless the path is from inside."""
    shutil.copytree(exported.path, tmp_path / "of[1]" / "digits")
    with pytest.raises(UserError, match=r"reads no SavedModel from a path with '\['"):
        predict(tmp_path / "of[1]" / "digits", images / "0.png")
    monkeypatch.chdir(tmp_path / "of[1]")
    predict("digits", images / "0.png")
    assert "0.png" in capsys.readouterr().out


@pytest.mark.slow
def test_tensorflow_model_server(exported, images, capsys):
    """TF Serving itself, if it is installed."""
    if (program := shutil.which("tensorflow_model_server")) is None:
        pytest.skip("tensorflow_model_server is not on the PATH")
    rest, grpc = free_port(), free_port()
    process = subprocess.Popen(
        [
            program,
            "--model_name=digits",
            f"--model_base_path={exported.path / 'saved_model'}",
            f"--rest_api_port={rest}",
            f"--port={grpc}",
        ]
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{rest}/v1/models/digits")
                break
            time.sleep(0.5)
        file = (images / "0.png").read_bytes()
        answers = [
            client(f"http://127.0.0.1:{rest}/v1/models/digits", False, 30)([file]),
            client(f"127.0.0.1:{grpc}/v1/models/digits", True, 30)([file]),
        ]
        np.testing.assert_allclose(answers[0]["lengths"], answers[1]["lengths"], atol=1e-6)
        predict(exported.path, images / "0.png")
        assert capsys.readouterr().out.split()[1] == str(answers[0]["label"][0])
        with pytest.raises(UserError, match="PNG"):
            predict(f"--url=http://127.0.0.1:{rest}/v1/models/digits", images / "cut.png")
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait()
