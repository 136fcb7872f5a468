"""Functions that run exported models with plain TensorFlow, TensorFlow's C API, LiteRT or OpenVINO."""

import importlib.util
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from ...trainers.runs.errors import UserError
from .contents import Contents

_STANDALONE = Path(__file__).parent / "standalone"
_TIMEOUT = 3600  # seconds


def in_fresh_process(path: Path, requests: list) -> list:
    """Run a SavedModel with plain TensorFlow in a new Python process that cannot import this package.

    `tf.saved_model.load` loads it.

    Args:
        path: the SavedModel.
        requests: list of (signature, images): an array, or a list of bytes.

    Returns:
        For each request {output: array}, or an error's message. One process answers all of them.

    Raises:
        UserError: the process failed.
    """
    return _run_standalone("saved_model_process.py", path, requests)


def through_c_api(path: Path, requests: list) -> list:
    """Run a SavedModel through TensorFlow's C API, without the Python packages TensorFlow and Keras.

    The C API is the loader of TF Serving.

    Args, returns and raises: as in `in_fresh_process`.
    """
    import tensorflow as tf

    contents = Contents.of_saved_model(path)
    return _run_standalone(
        "c_api_process.py",
        path,
        requests,
        libraries=tf.sysconfig.get_lib(),
        inputs=contents.inputs,
        outputs=contents.outputs,
    )


def _run_standalone(script, path, requests, **options):
    """Run a SavedModel by executing a standalone script in a separate Python process.

    Requests, options and answers travel as pickle files.
    """
    with tempfile.TemporaryDirectory() as folder:
        task = {"saved_model": str(path), "requests": requests, **options}
        (Path(folder) / "requests.pickle").write_bytes(pickle.dumps(task))
        process = subprocess.run(
            [sys.executable, _STANDALONE / script, folder],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        if process.returncode:
            raise UserError(f"{path} cannot be run by {script}: {process.stderr[-1500:]}", status=1)
        return pickle.loads((Path(folder) / "answers.pickle").read_bytes())


class LiteModel:
    """A TFLite model loaded into a single-threaded LiteRT interpreter.

    Args:
        path: the file.

    Raises:
        ValueError: the file is no TFLite model with one signature of one input.
    """

    def __init__(self, path: Path):
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_path=str(path), num_threads=1)
        self._runner = self._interpreter.get_signature_runner()
        (self._input,) = self._runner.get_input_details().items()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of this TFLite model's input, without the batch axis.

        For example (height, width, channels).
        """
        return tuple(int(size) for size in self._input[1]["shape"][1:])

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs of the model's signature."""
        return list(self._runner.get_output_details())

    def __call__(self, images) -> dict:
        """Run this TFLite model on a batch of images, and return a dictionary from output name to float32 array.

        8-bit inputs and outputs are scaled here.

        Args:
            images: (batch, height, width, channels) float32 from 0 to 255.
        """
        name, details = self._input
        scale, zero = details["quantization"]
        if scale:
            limits = np.iinfo(details["dtype"])
            images = np.clip(np.round(images / scale) + zero, limits.min, limits.max)
        outputs = self._runner(**{name: images.astype(details["dtype"])})
        scales = {key: value["quantization"] for key, value in self._runner.get_output_details().items()}
        return {key: _dequantise(value, *scales[key]) for key, value in outputs.items()}


def _dequantise(values, scale, zero):
    return (values.astype(np.float32) - zero) * scale if scale else values


def openvino_model(path: Path):
    """Load a SavedModel in OpenVINO, and return a function that runs the model in float32.

    OpenVINO is an independent runtime.

    Returns:
        Function of images to {output: array}; None if OpenVINO, an optional package, is not installed.
    """
    if importlib.util.find_spec("openvino") is None:
        return None
    import openvino

    core = openvino.Core()
    try:
        compiled = core.compile_model(core.read_model(str(path)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        raise UserError(f"OpenVINO cannot read {path}: {error}", status=1) from None
    names = [next(iter(output.names)) for output in compiled.outputs]
    return lambda images: dict(zip(names, compiled([images]).values(), strict=True))
