"""Requests that TF Serving replays when it loads a model, so that the first user does not wait for its kernels."""

from pathlib import Path

import tensorflow as tf

from ..serving.messages import PredictionLog, PredictLog, predict_request

FILE = "assets.extra/tf_serving_warmup_requests"


def write_warm_up(saved_model, name: str, requests):
    """Puts the requests where TF Serving looks for them.

    Args:
        saved_model: folder of the version.
        name: the model's, at the server.
        requests: list of (signature, images): an array, or a list of bytes.
    """
    path = Path(saved_model) / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, images in requests:
            log = PredictionLog(predict_log=PredictLog(request=predict_request(name, signature, images)))
            writer.write(log.SerializeToString())


def read_warm_up(saved_model) -> list:
    """The requests (signature, images) of a version."""
    records = tf.data.TFRecordDataset(str(Path(saved_model) / FILE)).as_numpy_iterator()
    requests = [PredictionLog.FromString(record).predict_log.request for record in records]
    return [(request.model_spec.signature_name, tf.make_ndarray(request.inputs["images"])) for request in requests]
