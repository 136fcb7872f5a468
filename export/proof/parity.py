"""How far every artefact is from the trained model, measured on real images; what is too far fails the export."""

import math
import statistics
import time
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from ..artefacts.saved_model import SIGNATURES
from . import runtimes
from .samples import Samples

# Largest absolute difference of any output.
TOLERANCE = {"saved_model": 1e-5, "lite": 1e-4, "openvino": 1e-4}
ACCURACY_DROP = 0.01  # of quantised models
_BATCH = 64
_TIMED = 30


@dataclass(frozen=True)
class Row:
    """One artefact on one runtime.

    Attributes:
        what: which.
        difference: largest absolute difference from the trained model's outputs; NaN where a number is none.
        tolerance: its limit; None where accuracy is what counts.
        accuracy: on the labelled images.
        agreement: share of the images with the trained model's label.
        milliseconds: of a batch of one, median; None where not measured.
        kilobytes: on disk.
        holds: whether it is near enough.
        note: what else to know.
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
        return asdict(self) | {"difference": self.difference if math.isfinite(self.difference) else None}


class Parity:
    """Compares with the trained model's outputs.

    Args:
        model: the trained model, with its feedback units.
        inference: its `inference_model`.
        samples: what to compare on.
    """

    def __init__(self, model, inference, samples: Samples):
        self.samples = samples
        lengths = model.predict(samples.seen, batch_size=_BATCH, verbose=0)
        # The capsules are no output of the trained model: its own layer is asked, through the model that shares it.
        others = inference.predict(samples.seen, batch_size=_BATCH, verbose=0)
        self.reference = {**others, "lengths": np.asarray(lengths, np.float32)}
        self.reference["label"] = self.reference["lengths"].argmax(axis=1)
        self.rows = []
        size = sum(weight.value.shape.num_elements() * weight.value.dtype.size for weight in model.weights)
        milliseconds = _timed(partial(model.predict_on_batch, samples.seen[:1]))
        self._add("Keras", self.reference, None, size / 1024, milliseconds)

    @property
    def holds(self) -> bool:
        return all(row.holds for row in self.rows)

    def saved_model(self, path):
        """Every signature in a fresh process, and through the C API; serving_default in OpenVINO, if installed."""
        requests, size = self.samples.requests(), _kilobytes(path)
        names = [signature for signature, _ in requests]
        for what, run in (
            ("SavedModel, fresh process", runtimes.in_fresh_process),
            ("SavedModel, C API", runtimes.through_c_api),
        ):
            answers = run(path, requests)
            for signature in SIGNATURES:
                own = [answer for name, answer in zip(names, answers, strict=True) if name == signature]
                self._compare(f"{what}, {signature}", own, TOLERANCE["saved_model"], size)
        if compiled := runtimes.openvino_model(path):
            answers = [compiled(images) for name, images in requests if name == SIGNATURES[0]]
            self._compare("SavedModel, OpenVINO", answers, TOLERANCE["openvino"], size)

    def lite(self, variant, path, note="") -> Row:
        """A .tflite file in LiteRT. Of float32 the difference counts, of the others the accuracy."""
        run = runtimes.LiteModel(path)
        seen = self.samples.seen
        try:
            answers = [run(seen[first : first + _BATCH]) for first in range(0, len(seen), _BATCH)]
            milliseconds = _timed(partial(run, seen[:1]))
        except RuntimeError as error:
            answers, milliseconds = [str(error)], None
        tolerance = TOLERANCE["lite"] if variant == "float32" else None
        what = f"LiteRT {variant}"
        self.rows = [row for row in self.rows if row.what != what]
        return self._compare(what, answers, tolerance, _kilobytes(path), milliseconds, note)

    def _compare(self, what, answers, tolerance, kilobytes, milliseconds=None, note=""):
        if errors := [answer for answer in answers if isinstance(answer, str)]:
            row = Row(what, float("nan"), tolerance, None, 0.0, False, kilobytes, note=errors[0][:300])
            self.rows.append(row)
            return row
        outputs = {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
        return self._add(what, outputs, tolerance, kilobytes, milliseconds, note)

    def _add(self, what, outputs, tolerance, kilobytes=None, milliseconds=None, note=""):
        floats = [name for name in self.reference if name != "label"]
        difference = max(_difference(outputs[name], self.reference[name]) for name in floats)
        accuracy, own = self.samples.accuracy(outputs["lengths"]), self.samples.accuracy(self.reference["lengths"])
        labels = outputs.get("label", outputs["lengths"].argmax(axis=1))
        if tolerance is not None:
            holds = difference <= tolerance
        else:  # without labels only numbers are asked for
            holds = bool(np.isfinite(difference)) and (accuracy is None or accuracy >= own - ACCURACY_DROP - 1e-9)
        agreement = float((labels == self.reference["label"]).mean())
        row = Row(what, difference, tolerance, accuracy, agreement, holds, kilobytes, milliseconds, note)
        self.rows.append(row)
        return row

    def to_json(self) -> dict:
        reference = "the trained model's predict"
        rows = [row.to_json() for row in self.rows]
        return {"holds": self.holds, "images": len(self.samples), "reference": reference, "rows": rows}


def _difference(outputs, reference):
    """Largest absolute difference; NaN if one is NaN."""
    if outputs.shape != reference.shape:
        return float("nan")
    return float(np.abs(outputs - reference).max())


def _kilobytes(path):
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1024


def _timed(call):
    """Median milliseconds."""
    times = []
    for _ in range(_TIMED + 3):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times[3:]) * 1000
