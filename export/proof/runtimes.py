"""Every runtime that an artefact is compared on, as a function of requests."""

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


def in_fresh_process(path, requests) -> list:
    """Runs a SavedModel by `tf.saved_model.load` in a new Python process that cannot import this package.

    Args:
        path: the SavedModel.
        requests: list of (signature, images): an array, or a list of bytes.

    Returns:
        For each request {output: array}, or the error's message; one process answers them all.

    Raises:
        UserError: the process ended otherwise.
    """
    return _ask("saved_model_process.py", path, requests, {})


def through_c_api(path, requests) -> list:
    """The same through TensorFlow's C API, the loader of TF Serving, without Python TensorFlow or Keras."""
    import tensorflow as tf

    contents = Contents.of_saved_model(path)
    more = {"libraries": tf.sysconfig.get_lib(), "inputs": contents.inputs, "outputs": contents.outputs}
    return _ask("c_api_process.py", path, requests, more)


def _ask(script, path, requests, more):
    with tempfile.TemporaryDirectory() as folder:
        task = {"saved_model": str(path), "requests": requests, **more}
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
    """A .tflite file, run by LiteRT on one thread.

    Args:
        path: the file.
    """

    def __init__(self, path):
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_path=str(path), num_threads=1)
        self._runner = self._interpreter.get_signature_runner()

    def __call__(self, images) -> dict:
        """Outputs (batch, ...) float32 by name; 8-bit inputs and outputs are scaled here.

        Args:
            images: (batch, height, width, channels) float32 from 0 to 255.
        """
        ((name, details),) = self._runner.get_input_details().items()
        scale, zero = details["quantization"]
        if scale:
            limits = np.iinfo(details["dtype"])
            images = np.clip(np.round(images / scale) + zero, limits.min, limits.max)
        outputs = self._runner(**{name: images.astype(details["dtype"])})
        scales = {key: value["quantization"] for key, value in self._runner.get_output_details().items()}
        return {key: _real(value, *scales[key]) for key, value in outputs.items()}


def _real(values, scale, zero):
    return (values.astype(np.float32) - zero) * scale if scale else values


def openvino_model(path):
    """A SavedModel run by OpenVINO, an independent runtime, in float32.

    Returns:
        Function of images to {output: array}; None where OpenVINO is not installed (it is no dependency).
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
