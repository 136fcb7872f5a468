"""Script that runs a SavedModel through TensorFlow's C API, without Python TensorFlow.

The C API is the loader of TF Serving.

Usage: python c_api_process.py FOLDER. Reads FOLDER/requests.pickle, which `runtimes` writes, and writes
FOLDER/answers.pickle.
"""

import ctypes
import pickle
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path

import numpy as np

_TYPES = {1: np.float32, 3: np.int32, 4: np.uint8, 9: np.int64}  # TF_DataType
_STRING, _STRING_SIZE = 7, 24  # sizeof(TF_TString)


class Output(ctypes.Structure):
    """The C struct TF_Output, which identifies one output tensor of a graph operation."""

    _fields_ = (("operation", c_void_p), ("index", c_int))


class CApi:
    """A SavedModel loaded into a TensorFlow session through the C API.

    Args:
        folder: of TensorFlow's shared libraries.
        path: of the SavedModel.
        inputs, outputs: signature -> name -> tensor's name in the graph.
    """

    def __init__(self, folder, path, *, inputs, outputs):
        self.tf = _library(folder)
        self.inputs, self.outputs = inputs, outputs
        self.status = self.tf.TF_NewStatus()
        self.graph = self.tf.TF_NewGraph()
        options, tags = self.tf.TF_NewSessionOptions(), (c_char_p * 1)(b"serve")
        self.session = self.tf.TF_LoadSessionFromSavedModel(
            options, None, path.encode(), tags, 1, self.graph, None, self.status
        )
        self.check()

    def check(self):
        """Raise RuntimeError if TensorFlow's C API reported an error."""
        if self.tf.TF_GetCode(self.status):
            raise RuntimeError(self.tf.TF_Message(self.status).decode(errors="replace"))

    def run(self, signature, images) -> dict:
        """Run a SavedModel signature on a batch of images, and return a dictionary from output name to array."""
        (input_name,) = self.inputs[signature].values()
        names = list(self.outputs[signature])
        fetches = (Output * len(names))(*(self.output(self.outputs[signature][name]) for name in names))
        feeds, results = (c_void_p * 1)(self.tensor(images)), (c_void_p * len(names))()
        try:
            self.tf.TF_SessionRun(
                self.session, None, byref(self.output(input_name)), feeds, 1, fetches, results, len(names), None, 0,
                None, self.status,
            )  # fmt: skip
            self.check()
            return {name: self.array(tensor) for name, tensor in zip(names, results, strict=True)}
        finally:
            for tensor in (*feeds, *results):
                if tensor:
                    self.tf.TF_DeleteTensor(tensor)

    def output(self, name):
        """Return the C struct TF_Output for a tensor name such as "serve_uint8:0"."""
        operation, index = name.split(":")
        return Output(self.tf.TF_GraphOperationByName(self.graph, operation.encode()), int(index))

    def tensor(self, images):
        """Create a C TF_Tensor from a NumPy array or a list of byte strings."""
        strings = isinstance(images, list)
        shape = (len(images),) if strings else images.shape
        size = _STRING_SIZE * len(images) if strings else images.nbytes
        types = {np.dtype(value): key for key, value in _TYPES.items()}
        kind = _STRING if strings else types[images.dtype]
        tensor = self.tf.TF_AllocateTensor(kind, (c_int64 * len(shape))(*shape), len(shape), size)
        data = self.tf.TF_TensorData(tensor)
        if not strings:
            ctypes.memmove(data, np.ascontiguousarray(images).ctypes.data, size)
            return tensor
        for i, text in enumerate(images):
            self.tf.TF_StringInit(data + i * _STRING_SIZE)
            self.tf.TF_StringCopy(data + i * _STRING_SIZE, text, len(text))
        return tensor

    def array(self, tensor):
        """Copy a C TF_Tensor into a NumPy array."""
        shape = [self.tf.TF_Dim(tensor, i) for i in range(self.tf.TF_NumDims(tensor))]
        kind, size = _TYPES[self.tf.TF_TensorType(tensor)], self.tf.TF_TensorByteSize(tensor)
        buffer = ctypes.string_at(self.tf.TF_TensorData(tensor), size) if size else b""
        return np.frombuffer(buffer, kind).reshape(shape).copy()


def _library(folder):
    """Load TensorFlow's C library with ctypes, and declare the argument and result types of the C functions."""
    for name in ("libtensorflow_framework", "libtensorflow_cc"):
        (path,) = [path for path in sorted(Path(folder).glob(f"{name}.*")) if path.suffixes[0] in (".so", ".2")][:1]
        tf = ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
    p, status = c_void_p, c_void_p
    functions = {
        "TF_NewStatus": (p,),
        "TF_GetCode": (c_int, status),
        "TF_Message": (c_char_p, status),
        "TF_NewGraph": (p,),
        "TF_NewSessionOptions": (p,),
        "TF_LoadSessionFromSavedModel": (p, p, p, c_char_p, POINTER(c_char_p), c_int, p, p, status),
        "TF_GraphOperationByName": (p, p, c_char_p),
        "TF_AllocateTensor": (p, c_int, POINTER(c_int64), c_int, c_size_t),
        "TF_DeleteTensor": (None, p),
        "TF_TensorData": (p, p),
        "TF_TensorType": (c_int, p),
        "TF_TensorByteSize": (c_size_t, p),
        "TF_NumDims": (c_int, p),
        "TF_Dim": (c_int64, p, c_int),
        "TF_StringInit": (None, p),
        "TF_StringCopy": (None, p, c_char_p, c_size_t),
        "TF_SessionRun": (
            None, p, p, POINTER(Output), POINTER(p), c_int, POINTER(Output), POINTER(p), c_int, p, c_int, p, status,
        ),
    }  # fmt: skip
    for name, (result, *arguments) in functions.items():
        function = getattr(tf, name)
        function.restype, function.argtypes = result, arguments
    return tf


def _answers(task):
    model = CApi(task["libraries"], task["saved_model"], inputs=task["inputs"], outputs=task["outputs"])
    for signature, images in task["requests"]:
        try:
            yield model.run(signature, images)
        except RuntimeError as error:
            yield str(error)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    task = pickle.loads((folder / "requests.pickle").read_bytes())
    answers = list(_answers(task))
    if {"tensorflow", "keras", "encapnet_tf"} & set(sys.modules):
        raise SystemExit("Python TensorFlow was imported, so this run does not test the C API alone.")
    (folder / "answers.pickle").write_bytes(pickle.dumps(answers))
