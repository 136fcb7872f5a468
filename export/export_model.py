"""From a trained model to artefacts that are proved equal to it."""

import datetime
import importlib.util
from pathlib import Path

import numpy as np

import encapnet_tf

from ..trainers.data.augmentation.views import Views
from ..trainers.evaluation.calibration import Calibration
from ..trainers.runs.errors import UserError
from ..trainers.runs.run_directory import package_versions
from .artefacts.documents import model_card, parity_table, write_serving_files
from .artefacts.export_folder import Draft, ExportFolder
from .artefacts.inference import inference_model, unit_names
from .artefacts.lite import VARIANTS, convert
from .artefacts.preprocessing import Preprocessing
from .artefacts.saved_model import INPUT, SIGNATURES, save_model
from .artefacts.warm_up import write_warm_up
from .proof.contents import Contents
from .proof.parity import Parity
from .proof.samples import Samples

_CHANNELS = (1, 3)


def export_model(
    model,
    images,
    labels=None,
    *,
    name,
    folder="exports",
    class_names=None,
    calibration_images=None,
    tflite=tuple(VARIANTS),
) -> Path:
    """Exports a Keras classifier, one of ours or any other, with your own images to compare its artefacts on.

    Writes `<folder>/<name>/`: a new version of the SavedModel, TFLite files, parity.json, a model card and
    serving files. Feedback units are left out.

    Args:
        model: functional or Sequential; images (batch, height, width, channels), pixels from 0 to 255, to scores
            (batch, classes).
        images: (n, height, width, channels) uint8 test images; of another size than the model's, they are cut and
            resized to it as the served model does.
        labels: (n,) integers, to measure accuracy by; without them only outputs are compared.
        name: of the model, also at the server.
        folder: of all exports.
        class_names: one per class; default "0", "1", ....
        calibration_images: training images, uint8, for the ranges of 8-bit numbers; default: `images`.
        tflite: which variants to make: "float32", "float16", "dynamic", "int8".

    Returns:
        The export's folder.

    Raises:
        UserError: the model or the images do not serve, or an artefact is not equal to the model: then nothing is
            published, and `<folder>/<name>/refused` shows why.

    Example:

    >>> import encapnet_tf as en, numpy as np, tempfile
    >>> from encapnet_tf.export import export_model
    >>> model = en.models.EncapNet((8, 8, 1), 3, (0,), (2,), (2,), num_capsules=4, include_rescaling=True)
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1)).astype("uint8")
    >>> path = export_model(model, images, name="tiny", folder=tempfile.mkdtemp(), tflite=["float32"])
    >>> (path / "tiny.tflite").exists()
    True
    """
    inference = inference_model(model)
    height, width, channels = inference.inputs[0].shape[1:]
    preprocessing = Preprocessing((height, width), channels, Views((height, width)))
    images = _pixels("images", images, channels)
    calibration = images if calibration_images is None else _pixels("calibration_images", calibration_images, channels)
    if labels is not None and np.shape(labels) != (len(images),):
        raise UserError(f"labels must be of shape ({len(images)},), one per image. Received: {np.shape(labels)}.")
    samples = Samples.of(preprocessing, images, None if labels is None else np.asarray(labels), calibration)
    classes = inference.output["lengths"].shape[1]
    class_names = [str(i) for i in range(classes)] if class_names is None else list(class_names)
    return export(model, samples, preprocessing, class_names, ExportFolder(folder, name), tflite)


def export(model, samples, preprocessing, class_names, target, tflite=tuple(VARIANTS), source="a model", about=None):
    """The same with samples and preprocessing made; `encapnet export` comes here with a run's.

    Args:
        model: the trained model.
        samples: `Samples`.
        preprocessing: `Preprocessing`.
        class_names: one per class.
        target: `ExportFolder`.
        tflite: variants to make.
        source: what to call the model's origin.
        about: {"data": name, "facts": {name: value}, "configuration": {...}} for the model card, as far as known.

    Returns:
        The export's folder.

    Raises:
        UserError: see `export_model`.
    """
    _check(model, class_names, preprocessing, tflite)
    inference = inference_model(model)
    with target.draft() as draft:
        parity = Parity(model, inference, samples)
        metadata = _metadata(model, inference, preprocessing, class_names, draft, parity, source, about or {})
        draft.file(draft.target.labels_file).write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")
        draft.write_json(ExportFolder.metadata_file, metadata)
        assets = [draft.file(name) for name in (ExportFolder.labels_file, ExportFolder.metadata_file)]
        save_model(inference, preprocessing, assets, draft.saved_model)
        write_warm_up(draft.saved_model, target.name, samples.warm_up())
        contents = {"saved_model": _checked_saved_model(model, inference, draft.saved_model)}
        parity.saved_model(draft.saved_model)
        for variant in tflite:
            _lite(inference, variant, samples.calibration, draft.lite(variant), parity)
            contents[draft.lite(variant).name] = Contents.of_lite(draft.lite(variant))
            contents[draft.lite(variant).name].refuse(draft.lite(variant).name, unit_names(model))
        found = {**parity.to_json(), "contents": {what: listed.to_json() for what, listed in contents.items()}}
        draft.write_json(ExportFolder.parity_file, found)
        draft.file(ExportFolder.card_file).write_text(model_card(metadata, found), encoding="utf-8")
        write_serving_files(draft.file(ExportFolder.serving_folder), target.name)
        if not parity.holds:
            _refuse(draft, found)
        return draft.publish()


def _lite(inference, variant, calibration, path, parity):
    """Converts and compares; 8-bit arithmetic that costs too much accuracy is done in float, and that is said."""
    path.write_bytes(convert(inference, variant, calibration))
    if variant != "int8":
        parity.lite(variant, path)
        return
    if not parity.lite(variant, path, "all in integers").holds:
        path.write_bytes(convert(inference, variant, calibration, float_arithmetic=True))
        parity.lite(variant, path, "convolutions and matrix products in integers, the rest in float")


def _checked_saved_model(model, inference, path):
    """Contents of the SavedModel: the weights of the model without its units, no node of them, nothing jitted."""
    contents = Contents.of_saved_model(path)
    contents.refuse("The SavedModel", unit_names(model))
    expected = {weight.path for weight in inference.weights}
    if set(contents.variables) != expected:
        odd = sorted(set(contents.variables) ^ expected)
        raise UserError(f"The SavedModel has not exactly the network's variables: {', '.join(odd[:5])}.", status=1)
    return contents


def _refuse(draft: Draft, found):
    missed = [row for row in parity_table(found) if row[-1].startswith("MISS")]
    lines = "\n".join(f"  {what}: difference {apart} (limit {limit or 'of accuracy'}), accuracy {accuracy} {note}"
                      for what, _, accuracy, _, apart, limit, _, note in missed)  # fmt: skip
    raise UserError(
        f"{len(missed)} of {len(found['rows'])} comparisons miss their limit, so nothing was published:\n{lines}\n"
        f"All of it is in {draft.refuse()}; --tflite leaves variants out.",
        status=1,
    )


def _metadata(model, inference, preprocessing, class_names, draft, parity, source, about):
    lengths, labels = parity.reference["lengths"], parity.samples.labels
    seen = list(inference.inputs[0].shape[1:])
    trained, weights, exported = map(_count, (model.trainable_weights, model.weights, inference.weights))
    scores = lengths.min() >= 0 and lengths.max() <= 1
    versions = package_versions("keras", "tensorflow", "numpy", "ai-edge-litert")
    return {
        "name": draft.target.name,
        "version": draft.version,
        "created": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "source": source,
        "versions": {"encapnet_tf": encapnet_tf.__version__, **versions},
        "input": INPUT,
        "signatures": list(SIGNATURES),
        "outputs": list(parity.reference),
        "pixels": "0 to 255",
        "image": {"seen": seen, "stored": [*preprocessing.stored, preprocessing.channels]},
        "class_names": list(class_names),
        "parameters": {"trained": trained, "feedback_units": weights - exported, "exported": exported},
        "feedback_units": unit_names(model),
        "accuracy": parity.samples.accuracy(lengths),
        "calibration_error": (
            Calibration.from_scores(lengths, labels).expected_error if scores and labels is not None else None
        ),
        "about": about,
    }


def _count(weights):
    return sum(weight.value.shape.num_elements() for weight in weights)


def _check(model, class_names, preprocessing, tflite):
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise UserError('LiteRT is not installed: pip install "encapnet_tf[export]". What was not run is not exported.')
    classes = model.output_shape[-1]
    if len(class_names) != classes or any(not name or "\n" in name for name in class_names):
        raise UserError(f"Expected {classes} class names, each a line of text. Received: {list(class_names)[:5]}.")
    if preprocessing.channels not in _CHANNELS:
        raise UserError(f"Image files have 1 or 3 channels; the model takes {preprocessing.channels}.")
    if wrong := [variant for variant in tflite if variant not in VARIANTS]:
        raise UserError(f"--tflite={','.join(wrong)}: expected some of {', '.join(VARIANTS)}.")


def _pixels(what, images, channels):
    images = np.asarray(images)
    if images.ndim != 4 or not len(images) or images.dtype != np.uint8 or images.shape[3] != channels:
        raise UserError(
            f"{what} must be uint8, pixels from 0 to 255, of shape (n, height, width, {channels}). Received: "
            f"{images.dtype} of shape {images.shape}."
        )
    return images
