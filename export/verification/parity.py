"""Functions that compare the outputs of exported models with those of the trained model.

The largest difference of each exported model has a limit.
"""

import math
import statistics
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np

from ..artefacts.full_precision import half_precision
from ..artefacts.saved_model import SIGNATURES
from . import runtimes
from .samples import Samples

# Largest absolute difference of any output.
TOLERANCES = {"saved_model": 1e-5, "lite": 1e-4, "openvino": 1e-4}
ACCURACY_DROP = 0.01  # allowed for quantised models
_BATCH = 64
_TIMED_CALLS, _WARM_UP_CALLS = 30, 3


@dataclass(frozen=True)
class Row:
    """Comparison of an exported file's outputs, computed on one runtime, with the outputs of the trained model.

    It is a row of parity.json.

    Attributes:
        what: name of artefact and runtime.
        difference: largest absolute difference from the trained model's outputs; NaN if an output is NaN.
        tolerance: limit of the difference; None where only the accuracy has one.
        accuracy: on the labelled images.
        agreement: share of the images with the trained model's label.
        milliseconds: median time of a batch of one; None where not measured.
        kilobytes: on disk.
        holds: whether difference or accuracy is within its limit.
        note: further information, such as an error's message.
    """

    what: str
    difference: float
    tolerance: float | None
    accuracy: float | None
    agreement: float
    holds: bool
    kilobytes: float | None = None
    milliseconds: float | None = None
    note: str = ""

    def to_json(self) -> dict:
        """Return the comparison of an exported file with the trained model as a JSON-ready dictionary.

        It is for parity.json. NaN becomes None.
        """
        return asdict(self) | {"difference": self.difference if math.isfinite(self.difference) else None}


class Parity:
    """Comparison of the outputs of all exported files with those of the trained model.

    There is one result, a `Row`, for each file and runtime.

    A model trained in half precision is exported in float32. The reference is then the network rebuilt in float32, and
    the trained model has one more row: the reference may lose as much of its accuracy as a quantised file may.

    Args:
        model: the trained model, with its feedback units.
        inference: its `inference_model`.
        samples: images to compare on.
    """

    def __init__(self, model: keras.Model, inference: keras.Model, samples: Samples):
        self.samples = samples
        self.half_precision = half_precision(model)
        # The capsules are no output of the trained model; the inference model shares its layers.
        outputs = inference.predict(samples.inputs, batch_size=_BATCH, verbose=0)
        lengths = model.predict(samples.inputs, batch_size=_BATCH, verbose=0).astype(np.float32)
        self.reference = {name: np.asarray(values, np.float32) for name, values in outputs.items()}
        if not self.half_precision:
            self.reference["lengths"] = lengths
        self.reference["label"] = self.reference["lengths"].argmax(axis=1)
        self.rows: list[Row] = []
        reference_model = inference if self.half_precision else model
        self._add_row("Keras", self.reference, tolerance=None, **_cost(reference_model, samples.inputs[:1]))
        if self.half_precision:
            self._add_trained_model(lengths, **_cost(model, samples.inputs[:1]))

    @property
    def holds(self) -> bool:
        return all(row.holds for row in self.rows)

    def compare_saved_model(self, path: Path):
        """Run a SavedModel on all available runtimes and compare the outputs with those of the trained model.

        Every signature is run in a fresh process and in the C API, and serving_default in OpenVINO if installed.
        """
        requests, size = self.samples.requests(), _kilobytes(path)
        names = [signature for signature, _ in requests]
        for what, run in (
            ("SavedModel, fresh process", runtimes.in_fresh_process),
            ("SavedModel, C API", runtimes.through_c_api),
        ):
            answers = run(path, requests)
            for signature in SIGNATURES:
                selection = [answer for name, answer in zip(names, answers, strict=True) if name == signature]
                self._compare(f"{what}, {signature}", selection, tolerance=TOLERANCES["saved_model"], kilobytes=size)
        if compiled := runtimes.openvino_model(path):
            answers = [compiled(images) for name, images in requests if name == SIGNATURES[0]]
            self._compare("SavedModel, OpenVINO", answers, tolerance=TOLERANCES["openvino"], kilobytes=size)

    def compare_lite(self, variant: str, path: Path, note: str = "") -> Row:
        """Compare the outputs of a TFLite file with those of the trained model.

        LiteRT runs the file.

        Only float32 has a limit on the difference.
        """
        run = runtimes.LiteModel(path)
        inputs = self.samples.inputs
        answers: list[dict | str]
        milliseconds: float | None
        try:
            answers = [run(inputs[first : first + _BATCH]) for first in range(0, len(inputs), _BATCH)]
            milliseconds = _median_milliseconds(partial(run, inputs[:1]))
        except RuntimeError as error:
            answers, milliseconds = [str(error)], None
        tolerance = TOLERANCES["lite"] if variant == "float32" else None
        what = f"LiteRT {variant}"
        self.rows = [row for row in self.rows if row.what != what]
        return self._compare(
            what,
            answers,
            tolerance=tolerance,
            kilobytes=_kilobytes(path),
            milliseconds=milliseconds,
            note=note,
        )

    def _compare(self, what, answers, *, tolerance, kilobytes, milliseconds=None, note=""):
        """Compare an exported file's outputs with those of the trained model.

        There is one answer a batch: {output: array}, or an error's message. The result is recorded as a row and
        returned.
        """
        if errors := [answer for answer in answers if isinstance(answer, str)]:
            row = Row(
                what=what,
                difference=float("nan"),
                tolerance=tolerance,
                accuracy=None,
                agreement=0.0,
                holds=False,
                kilobytes=kilobytes,
                note=errors[0][:300],
            )
            self.rows.append(row)
            return row
        outputs = {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
        return self._add_row(
            what, outputs, tolerance=tolerance, kilobytes=kilobytes, milliseconds=milliseconds, note=note
        )

    def _add_trained_model(self, lengths, *, kilobytes, milliseconds):
        """Compare the outputs of a half-precision model with those of the exported float32 network.

        The result is added as a row.
        """
        difference = _difference(lengths, self.reference["lengths"])
        accuracy, exported = map(self.samples.accuracy, (lengths, self.reference["lengths"]))
        agreement = float((lengths.argmax(axis=1) == self.reference["label"]).mean())
        holds = bool(np.isfinite(difference)) and _is_accurate(exported, accuracy)
        what = f"Keras in {self.half_precision}"
        self.rows.append(Row(what, difference, None, accuracy, agreement, holds, kilobytes, milliseconds, "as trained"))

    def _add_row(self, what, outputs, *, tolerance, kilobytes, milliseconds, note=""):
        floats = [name for name in self.reference if name != "label"]
        # Not Python's max, which drops a NaN that is not the first value.
        difference = float(np.max([_difference(outputs[name], self.reference[name]) for name in floats]))
        accuracy, expected = (self.samples.accuracy(scores["lengths"]) for scores in (outputs, self.reference))
        labels = outputs.get("label", outputs["lengths"].argmax(axis=1))
        if tolerance is not None:
            holds = difference <= tolerance
        else:  # without labels outputs need only be finite
            holds = bool(np.isfinite(difference)) and _is_accurate(accuracy, expected)
        agreement = float((labels == self.reference["label"]).mean())
        row = Row(what, difference, tolerance, accuracy, agreement, holds, kilobytes, milliseconds, note)
        self.rows.append(row)
        return row

    def to_json(self) -> dict:
        """Return the results of comparing all exported files with the trained model, as a JSON-ready dictionary.

        It is for parity.json.
        """
        reference = "the trained model's predict"
        if self.half_precision:
            reference = "predict of the trained network rebuilt in float32"
        return {
            "holds": self.holds,
            "images": len(self.samples),
            "reference": reference,
            "half_precision": self.half_precision,
            "rows": [row.to_json() for row in self.rows],
        }


def _is_accurate(accuracy, expected):
    """Return whether an accuracy is at most one percentage point below the expected accuracy.

    True if either was not measured.
    """
    return accuracy is None or expected is None or accuracy >= expected - ACCURACY_DROP - 1e-9


def _cost(model, batch):
    """Measure the size of a Keras model's weights and the prediction time of one batch."""
    size = sum(weight.value.shape.num_elements() * weight.value.dtype.size for weight in model.weights)
    milliseconds = _median_milliseconds(partial(model.predict_on_batch, batch))
    return {"kilobytes": size / 1024, "milliseconds": milliseconds}


def _difference(outputs, reference):
    """Return the largest absolute difference between two arrays, or NaN if the shapes differ.

    NaN too if a value is NaN.
    """
    if outputs.shape != reference.shape:
        return float("nan")
    return float(np.abs(outputs - reference).max())


def _kilobytes(path):
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1024


def _median_milliseconds(call):
    times = []
    for _ in range(_WARM_UP_CALLS + _TIMED_CALLS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times[_WARM_UP_CALLS:]) * 1000
