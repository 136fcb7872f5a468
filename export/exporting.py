"""Functions that export a trained Keras model and verify the exported files."""

import datetime
import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np

import encapnet_tf

from ..trainers.config.suggestions import did_you_mean
from ..trainers.data.augmentation.views import Views
from ..trainers.evaluation.calibration import Calibration
from ..trainers.runs.errors import UserError
from ..trainers.runs.installation import install_command
from ..trainers.runs.run_directory import package_versions
from .artefacts.documents import model_card, parity_table, write_serving_files
from .artefacts.export_folder import Draft, ExportFolder
from .artefacts.inference import inference_model, training_only_layers
from .artefacts.lite import convert
from .artefacts.preprocessing import Preprocessing
from .artefacts.saved_model import INPUT, SIGNATURES, save_model
from .artefacts.variants import VARIANTS
from .serving.warm_up import write_warm_up
from .verification.contents import Contents
from .verification.parity import Parity
from .verification.samples import Samples

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
    """Export a Keras image classifier to SavedModel and TFLite files, and verify the files on sample images.

    Writes `<folder>/<name>/`: a new version of the SavedModel, TFLite files, parity.json, a model card and
    serving files. Feedback units are left out.

    Args:
        model: functional or Sequential; images (batch, height, width, channels), pixels from 0 to 255, to scores
            (batch, classes).
        images: (n, height, width, channels) uint8 test images; if their size is not the model's, they are cropped and
            resized as the exported model does.
        labels: (n,) integers, to measure accuracy; without them only outputs are compared.
        name: of the model, also at the server.
        folder: of all exports.
        class_names: one per class; default "0", "1", ....
        calibration_images: training images, uint8, from which int8 takes its ranges; default: `images`.
        tflite: TFLite variants to make, of "float32", "float16", "dynamic", "int8".

    Returns:
        The export's folder.

    Raises:
        UserError: the model or the images have a wrong form, or an artefact differs from the model: then nothing is
            published, and the files are in `<folder>/<name>/refused`.

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
    images = _uint8_images("images", images, channels)
    calibration = images
    if calibration_images is not None:
        calibration = _uint8_images("calibration_images", calibration_images, channels)
    if labels is not None and np.shape(labels) != (len(images),):
        raise UserError(f"labels must be of shape ({len(images)},), one per image. Received: {np.shape(labels)}.")
    samples = Samples.of(preprocessing, images, None if labels is None else np.asarray(labels), calibration)
    classes = inference.output["lengths"].shape[1]
    class_names = [str(i) for i in range(classes)] if class_names is None else list(class_names)
    target = ExportFolder(folder, name)
    return export_samples(model, samples, preprocessing, class_names=class_names, target=target, tflite=tflite)


def export_samples(
    model: keras.Model,
    samples: Samples,
    preprocessing: Preprocessing,
    *,
    class_names: Sequence[str],
    target: ExportFolder,
    tflite: Iterable[str] = tuple(VARIANTS),
    source: str = "a model",
    about: dict | None = None,
) -> Path:
    """Export a Keras model and verify the exported files on images that are already preprocessed.

    The images are, for instance, those of a run.

    Args:
        model: the trained model.
        samples: images to compare and calibrate on.
        preprocessing: from raw images to the model's inputs.
        class_names: one per class.
        target: folder of the export.
        tflite: TFLite variants to make.
        source: origin of the model, for the model card.
        about: {"data": name, "facts": {name: value}, "configuration": {...}} for the model card; each key is optional.

    Returns:
        The export's folder.

    Raises:
        UserError: see `export_model`.
    """
    _check_arguments(model, class_names, preprocessing, tflite)
    inference = inference_model(model)
    with target.draft() as draft:
        parity = Parity(model, inference, samples)
        metadata = {
            "name": target.name,
            "version": draft.version,
            "created": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "source": source,
            **_describe(model, inference, parity),
            "image": {"seen": list(inference.inputs[0].shape[1:]), **preprocessing.to_json()},
            "class_names": list(class_names),
            "about": about or {},
        }
        draft.file(draft.target.labels_file).write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")
        draft.write_json(ExportFolder.metadata_file, metadata)
        assets = [draft.file(name) for name in (ExportFolder.labels_file, ExportFolder.metadata_file)]
        save_model(inference, preprocessing, assets, draft.saved_model)
        write_warm_up(draft.saved_model, target.name, samples.warm_up_requests())
        contents = {"saved_model": _saved_model_contents(model, inference, draft.saved_model)}
        parity.compare_saved_model(draft.saved_model)
        for variant in tflite:
            path = draft.lite(variant)
            _write_lite(inference, variant, samples.calibration, path=path, parity=parity)
            contents[path.name] = Contents.of_lite(path)
            contents[path.name].require_inference_only(path.name, _training_only_names(model))
        report = {**parity.to_json(), "contents": {name: listing.to_json() for name, listing in contents.items()}}
        draft.write_json(ExportFolder.parity_file, report)
        draft.file(ExportFolder.card_file).write_text(model_card(metadata, report), encoding="utf-8")
        write_serving_files(draft.file(ExportFolder.serving_folder), target.name)
        if not parity.holds:
            _refuse(draft, report)
        return draft.publish()


def _write_lite(inference, variant, calibration, *, path, parity):
    """Convert a Keras model to a TFLite file, and compare the outputs of the file with those of the model.

    Int8 is repeated with float arithmetic if integers cost too much accuracy.
    """
    path.write_bytes(convert(inference, variant, calibration))
    if variant != "int8":
        parity.compare_lite(variant, path)
        return
    if not parity.compare_lite(variant, path, "all in integers").holds:
        path.write_bytes(convert(inference, variant, calibration, float_arithmetic=True))
        parity.compare_lite(variant, path, "convolutions and matrix products in integers, the rest in float")


def _saved_model_contents(model, inference, path):
    """Read the contents of a SavedModel, and check that it holds all of the network's variables and no others.

    Raise UserError if variables are missing or surplus.
    """
    contents = Contents.of_saved_model(path)
    contents.require_inference_only("The SavedModel", _training_only_names(model))
    expected = {weight.path for weight in inference.weights}
    if set(contents.variables) != expected:
        difference = sorted(set(contents.variables) ^ expected)
        raise UserError(
            "The SavedModel does not hold exactly the network's variables; missing or surplus: "
            f"{', '.join(difference[:5])}.",
            status=1,
        )
    return contents


def _refuse(draft: Draft, report):
    """Keep the files of a failed export, and raise a `UserError` that lists the failed comparisons.

    A comparison fails if outputs of an exported model deviate from those of the trained model by more than a limit.
    """
    misses = [row for row in parity_table(report) if row[-1].startswith("MISS")]
    lines = "\n".join(f"  {what}: difference {apart} (limit {limit or 'of accuracy'}), accuracy {accuracy} {note}"
                      for what, _, accuracy, _, apart, limit, _, note in misses)  # fmt: skip
    raise UserError(
        f"{len(misses)} of {len(report['rows'])} comparisons miss their limit, so nothing was published:\n{lines}\n"
        f"All files are in {draft.refuse()}. --tflite leaves variants out.",
        status=1,
    )


def _describe(model, inference, parity):
    """Return metadata of an exported model, such as parameter counts, accuracy and package versions."""
    lengths, labels = parity.reference["lengths"], parity.samples.labels
    units, decoders = training_only_layers(model)
    are_scores = lengths.min() >= 0 and lengths.max() <= 1
    versions = package_versions("keras", "tensorflow", "numpy", "ai-edge-litert")
    calibration_error = None
    if are_scores and labels is not None and labels.ndim == 1:
        calibration_error = Calibration.from_scores(lengths, labels).expected_error
    return {
        "versions": {"encapnet_tf": encapnet_tf.__version__, **versions},
        "input": INPUT,
        "signatures": list(SIGNATURES),
        "outputs": list(parity.reference),
        "pixels": "0 to 255",
        "parameters": {
            "trained": _count(model.trainable_weights),
            "feedback_units": sum(_count(unit.weights) for unit in units),
            "decoder": sum(_count(decoder.weights) for decoder in decoders),
            "exported": _count(inference.weights),
        },
        "feedback_units": [unit.name for unit in units],
        "accuracy": parity.samples.accuracy(lengths),
        "calibration_error": calibration_error,
    }


def _training_only_names(model):
    """Return the names of a model's training-only layers, which exported files must not contain."""
    return [layer.name for layers in training_only_layers(model) for layer in layers]


def _count(weights):
    return sum(weight.value.shape.num_elements() for weight in weights)


def _check_arguments(model, class_names, preprocessing, tflite):
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise UserError(f"LiteRT, which verifies TFLite files, is not installed: {install_command('export')}.")
    classes = model.output_shape[-1]
    if len(class_names) != classes or any(not name or "\n" in name for name in class_names):
        raise UserError(f"Expected {classes} class names, each a line of text. Received: {list(class_names)[:5]}.")
    if preprocessing.channels not in _CHANNELS:
        raise UserError(f"Image files have 1 or 3 channels, but the model takes {preprocessing.channels}.")
    if unknown := [variant for variant in tflite if variant not in VARIANTS]:
        hint = did_you_mean(unknown[0], VARIANTS)
        raise UserError(f"--tflite={','.join(unknown)}: expected some of {', '.join(VARIANTS)}{hint}.")


def _uint8_images(argument, images, channels):
    """Check that images have the right type and shape, and return the images as a NumPy array."""
    images = np.asarray(images)
    if images.ndim != 4 or not len(images) or images.dtype != np.uint8 or images.shape[3] != channels:
        raise UserError(
            f"{argument} must be uint8, pixels from 0 to 255, of shape (n, height, width, {channels}). Received: "
            f"{images.dtype} of shape {images.shape}."
        )
    return images
