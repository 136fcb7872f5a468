"""The report's sections: functions from a run's record to something the one template can show."""

from encapnet_tf.callbacks.collapse_watch import COLLAPSE_RATIO

from . import figures
from .evaluation_sections import calibration, per_class, robustness
from .run_record import RunRecord
from .section import Picture, Section


def result(record: RunRecord) -> Section:
    summary = record.summary
    return Section(
        "Result",
        table=[
            (
                "Test accuracy",
                f"{summary['test_accuracy']:.2%} ({summary['test_errors']} errors in "
                f"{summary['test_images']:,} images)",
            ),
            *top_5(record),
            (
                "Validation accuracy",
                f"{summary['validation_accuracy']:.2%} ({summary['validation_images']:,} images set aside from the "
                "training images)",
            ),
            ("Best epoch", f"{summary['best_epoch']} of {summary['epochs']}, chosen by validation accuracy"),
            ("Trainable parameters", f"{summary['parameters']:,}"),
            (
                "Training",
                f"{summary['train_seconds']:.0f} s, {summary['images_per_second']:,.0f} images/s, "
                f"{summary['train_images']:,} images",
            ),
        ],
    )


def top_5(record: RunRecord) -> list:
    many = record.predictions.lengths.shape[1] > 5
    return [("Top-5 accuracy", f"{record.predictions.top(5):.2%}")] if many else []


def curves(record: RunRecord) -> Section:
    picture = figures.curves(record.metrics, record.summary["best_epoch"])
    return Section("Loss and accuracy", pictures=[Picture(picture, "Loss and accuracy against the epoch")])


def feedback(record: RunRecord) -> Section | None:
    suffix = "_raw_divergence"
    units = [key.removesuffix(suffix) for key in record.metrics[0] if key.endswith(suffix)]
    if not units:
        return None
    texts = [
        "Left: each feedback agreement unit's divergence in training. Middle and right: on validation images, the "
        "divergence of the extracted features as a share of that of the features as they are, and the mean cost "
        "between the extracted features of two images (dotted: between the features as they are)."
    ]
    for unit in units:
        ratios = [row[f"{unit}_divergence"] / max(row[f"{unit}_raw_divergence"], 1e-12) for row in record.metrics]
        if min(ratios) < COLLAPSE_RATIO:
            epoch = next(
                row["epoch"] for row, ratio in zip(record.metrics, ratios, strict=True) if ratio < COLLAPSE_RATIO
            )
            texts.append(
                f"Warning: the extractor of {unit} collapsed at epoch {epoch}: the divergence it sees fell to "
                f"{min(ratios):.1g} of the features' own, while the features still differ. The unit regularises "
                "little from there on; --extractor_objective=adversarial works against it."
            )
    picture = figures.feedback(record.metrics, units)
    return Section("Feedback agreement", texts=texts, pictures=[Picture(picture, "Divergences of the feedback units")])


def agreement(record: RunRecord) -> Section | None:
    if not record.agreement:
        return None
    texts = [
        "Cosine similarity between a higher capsule and its mapped lower capsules, on validation images: what "
        "share of them has it (grey bars) and how long these are on average (blue). In the last layer the higher "
        "capsule is that of the image's own class. A capsule of length 0 agrees by 0. Each row of pictures has one "
        "scale (Figure 2 of the paper)."
    ]
    picture = Picture(figures.agreement(record.agreement), "Agreement of lower with higher capsules at some epochs")
    return Section("Agreement of capsules", texts=texts, pictures=[picture])


def confusion(record: RunRecord) -> Section:
    picture = figures.confusion(record.predictions.confusion(), record.class_names)
    return Section(
        "Confusion matrix",
        texts=["Test images, counted by true class (row) and predicted class (column)."],
        pictures=[Picture(picture, "Confusion matrix of the test images")],
    )


def mistakes(record: RunRecord) -> Section:
    predictions, names = record.predictions, record.class_names
    if not predictions.errors:
        return Section("Worst mistakes", texts=["There are none: every test image was classified correctly."])
    pictures = []
    for index, image in zip(predictions.worst, predictions.worst_images, strict=True):
        true, predicted = int(predictions.labels[index]), int(predictions.predicted[index])
        lengths = predictions.lengths[index]
        caption = f"{names[predicted]} ({lengths[predicted]:.2f}), truly {names[true]} ({lengths[true]:.2f})"
        pictures.append(Picture(figures.image(image), f"Test image {index}", caption))
    return Section(
        "Worst mistakes",
        texts=[
            f"{len(pictures)} of {predictions.errors} mistakes, most mistaken first: the predicted class, the true one "
            "and their scores (lengths of their capsules; of networks without capsules probabilities)."
        ],
        pictures=pictures,
        layout="gallery",
    )


def settings(record: RunRecord) -> Section:
    circumstances = {key: value for key, value in record.config.items() if key != "config"}
    rows = {**record.config["config"], **circumstances}
    return Section("Settings", table=[(key, _plain(value)) for key, value in rows.items() if value is not None])


def _plain(value) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


SECTIONS = (result, curves, feedback, agreement, per_class, confusion, calibration, robustness, mistakes, settings)
