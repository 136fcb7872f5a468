"""Warm-up requests that TF Serving replays after loading a SavedModel and before accepting prediction requests."""

from pathlib import Path

import tensorflow as tf

from .messages import PredictionLog, PredictLog, predict_request

FILE = "assets.extra/tf_serving_warmup_requests"


def write_warm_up(saved_model: Path, name: str, requests: list):
    """Write warm-up requests for TF Serving into a SavedModel's folder.

    Args:
        saved_model: folder of the version.
        name: of the model, at the server.
        requests: list of (signature, images): an array, or a list of bytes.
    """
    path = Path(saved_model) / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, images in requests:
            log = PredictionLog(predict_log=PredictLog(request=predict_request(name, signature, images)))
            writer.write(log.SerializeToString())


def read_warm_up(saved_model: Path) -> list:
    """Read the TF Serving warm-up requests from a SavedModel's folder.

    Returns a list of (signature name, images).
    """
    records = tf.data.TFRecordDataset(str(Path(saved_model) / FILE)).as_numpy_iterator()
    requests = [PredictionLog.FromString(record).predict_log.request for record in records]
    return [(request.model_spec.signature_name, tf.make_ndarray(request.inputs["images"])) for request in requests]
