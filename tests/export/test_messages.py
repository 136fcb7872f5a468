"""Our description of TF Serving's messages, beside its own where that is installed (it is no dependency)."""

import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.export.serving import messages


def test_there_and_back():
    sent = messages.predict_request("digits", "serve_bytes", [b"one", b"\0two\0"], version=3)
    request = messages.PredictRequest.FromString(sent.SerializeToString())
    assert (request.model_spec.name, request.model_spec.signature_name) == ("digits", "serve_bytes")
    assert request.model_spec.version.value == 3
    assert tf.make_ndarray(request.inputs["images"]).tolist() == [b"one", b"\0two\0"]


def test_the_bytes_are_those_of_tensorflow_serving():
    predict_pb2 = pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    sent = messages.predict_request("digits", "serve_uint8", np.zeros((2, 8, 8, 1), np.uint8), version=3)
    theirs = predict_pb2.PredictRequest.FromString(sent.SerializeToString())
    assert (theirs.model_spec.name, theirs.model_spec.signature_name) == ("digits", "serve_uint8")
    assert theirs.model_spec.version.value == 3
    assert tf.make_ndarray(theirs.inputs["images"]).shape == (2, 8, 8, 1)
    answer = predict_pb2.PredictResponse()
    answer.model_spec.name = "digits"
    answer.outputs["label"].CopyFrom(tf.make_tensor_proto(np.arange(2)))
    ours = messages.PredictResponse.FromString(answer.SerializeToString())
    assert ours.model_spec.name == "digits"
    assert tf.make_ndarray(ours.outputs["label"]).tolist() == [0, 1]
