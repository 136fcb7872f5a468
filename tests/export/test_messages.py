"""Our definitions of TF Serving's messages, compared with bytes that tensorflow-serving-api has written."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.export.serving import messages

BYTES = Path(__file__).parents[1] / "data" / "serving_messages"
FILES = [b"one", b"\0two\0"]
PIXELS = np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1)
LABEL = np.array([1, 0])
LENGTHS = np.array([[0.25, 0.75], [0.5, 0.125]], np.float32)


def files_request():
    return messages.predict_request("digits", "serve_bytes", FILES, version=3)


def response():
    message = messages.PredictResponse(model_spec=files_request().model_spec)
    message.outputs["label"].CopyFrom(tf.make_tensor_proto(LABEL))
    message.outputs["lengths"].CopyFrom(tf.make_tensor_proto(LENGTHS))
    return message


MESSAGES = {
    "predict_request_files.pb": files_request(),
    "predict_request_pixels.pb": messages.predict_request("digits", "serve_uint8", PIXELS),
    "predict_response.pb": response(),
    "prediction_log.pb": messages.PredictionLog(
        predict_log=messages.PredictLog(request=files_request(), response=response())
    ),
}


def read(name):
    return type(MESSAGES[name]).FromString((BYTES / name).read_bytes())


@pytest.mark.parametrize("name", MESSAGES)
def test_serialising(name):
    assert MESSAGES[name].SerializeToString(deterministic=True) == (BYTES / name).read_bytes()


def test_every_recorded_message_is_checked():
    assert {path.name for path in BYTES.glob("*.pb")} == set(MESSAGES)


def test_parsing_requests():
    request = read("predict_request_files.pb")
    assert (request.model_spec.name, request.model_spec.signature_name) == ("digits", "serve_bytes")
    assert request.model_spec.version.value == 3
    assert tf.make_ndarray(request.inputs["images"]).tolist() == FILES
    request = read("predict_request_pixels.pb")
    assert not request.model_spec.HasField("version")
    np.testing.assert_array_equal(tf.make_ndarray(request.inputs["images"]), PIXELS)


def test_parsing_a_response_and_a_log():
    answer = read("predict_response.pb")
    assert answer.model_spec.name == "digits"
    np.testing.assert_array_equal(tf.make_ndarray(answer.outputs["label"]), LABEL)
    np.testing.assert_array_equal(tf.make_ndarray(answer.outputs["lengths"]), LENGTHS)
    log = read("prediction_log.pb").predict_log
    assert (log.request, log.response) == (read("predict_request_files.pb"), answer)


@pytest.mark.parametrize("name", MESSAGES)
def test_no_field_is_unknown(name):
    """All bytes that tensorflow-serving-api has written are fields of our definitions."""
    message = read(name)
    message.DiscardUnknownFields()
    assert message.SerializeToString(deterministic=True) == (BYTES / name).read_bytes()
