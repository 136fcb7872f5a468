"""Protocol-buffer messages of TF Serving for prediction and warm-up requests.

`encapnet predict --grpc` and the warm-up requests of a SavedModel need them.

They are defined here because the package tensorflow-serving-api requires `tensorflow`, whose files `tensorflow-cpu` and
other builds own too, so no client should have to install it. Only field numbers are part of the wire format, names are
not. A test compares the bytes with those of tensorflow-serving-api.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
from tensorflow.core.framework import tensor_pb2

_PACKAGE = "encapnet_tf.serving"
_TENSOR = f".{tensor_pb2.TensorProto.DESCRIPTOR.full_name}"
_FIELD = descriptor_pb2.FieldDescriptorProto
_TENSORS = {"map": _TENSOR}
_VERSION = f".{wrappers_pb2.Int64Value.DESCRIPTOR.full_name}"

# Message -> field -> (number, type). https://github.com/tensorflow/serving, tensorflow_serving/apis.
_MESSAGES = {
    "ModelSpec": {"name": (1, str), "version": (2, _VERSION), "signature_name": (3, str)},
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, _TENSORS)},
    "PredictResponse": {"outputs": (1, _TENSORS), "model_spec": (2, "ModelSpec")},
    "PredictLog": {"request": (1, "PredictRequest"), "response": (2, "PredictResponse")},
    "PredictionLog": {"predict_log": (6, "PredictLog")},
}


def _add_fields(message, fields):
    """Add fields with given names, numbers and types to a protocol-buffer message descriptor.

    The `fields` are {name: (number, type)}.
    """
    for name, (number, kind) in fields.items():
        field = message.field.add(name=name, number=number, label=_FIELD.LABEL_OPTIONAL)
        if kind is str:
            field.type = _FIELD.TYPE_STRING
            continue
        field.type = _FIELD.TYPE_MESSAGE
        if kind is not _TENSORS:
            field.type_name = kind if kind.startswith(".") else f".{_PACKAGE}.{kind}"
            continue
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=_FIELD.LABEL_OPTIONAL, type=_FIELD.TYPE_STRING)
        entry.field.add(
            name="value", number=2, label=_FIELD.LABEL_OPTIONAL, type=_FIELD.TYPE_MESSAGE, type_name=kind["map"]
        )
        field.label, field.type_name = _FIELD.LABEL_REPEATED, f".{_PACKAGE}.{message.name}.{entry.name}"


def _message_classes():
    """Create Python classes for the protocol-buffer messages of TF Serving."""
    file = descriptor_pb2.FileDescriptorProto(
        name="encapnet_tf/serving.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[tensor_pb2.DESCRIPTOR.name, wrappers_pb2.DESCRIPTOR.name],
    )
    for name, fields in _MESSAGES.items():
        _add_fields(file.message_type.add(name=name), fields)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES]


ModelSpec, PredictRequest, PredictResponse, PredictLog, PredictionLog = _message_classes()


def predict_request(name: str, signature: str, images, version: int | None = None):
    """Build a request message for TF Serving's prediction service.

    Args:
        name: of the model, at the server.
        signature: name of the model's signature.
        images: its input "images", an array or a list of bytes.
        version: of the model; None for the newest.
    """
    import tensorflow as tf

    request = PredictRequest(model_spec=ModelSpec(name=name, signature_name=signature))
    if version is not None:
        request.model_spec.version.value = version
    request.inputs["images"].CopyFrom(tf.make_tensor_proto(images))
    return request
