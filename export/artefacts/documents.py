"""Functions that write an exported model's text files: the model card and the TF Serving configuration."""

import json
from pathlib import Path

import jinja2

from ...trainers.runs.terminal import markdown_text, printable

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    autoescape=False,  # no HTML
)
_MAX_NAMES = 20  # of classes, in the model card
SERVING_FILES = ("compose.yaml", "models.config")


def write_serving_files(folder: Path, name: str):
    """Write a Docker Compose file and a model configuration for TF Serving into a new folder."""
    folder.mkdir()
    for file in SERVING_FILES:
        (folder / file).write_text(_ENVIRONMENT.get_template(file).render(name=name), encoding="utf-8")


def model_card(metadata: dict, parity: dict) -> str:
    """Return the model card of an exported model as Markdown text.

    The arguments are the contents of `metadata.json` and `parity.json`.
    """
    names, about = metadata["class_names"], metadata["about"]
    height, width, channels = metadata["image"]["seen"]
    has_capsules = "capsules" in metadata["outputs"]
    return _ENVIRONMENT.get_template("model_card.md").render(
        **{key: metadata[key] for key in ("name", "version", "created", "parameters")},
        source=markdown_text(metadata["source"]),
        classes=len(names),
        class_names=", ".join(map(markdown_text, names[:_MAX_NAMES])) + (", ..." if len(names) > _MAX_NAMES else ""),
        colour="gray" if channels == 1 else "colour",
        size=f"{height}x{width}",
        data=markdown_text(about["data"]) if about.get("data") else None,
        score="the length of the class's capsule" if has_capsules else "the output of the model's last layer",
        calibration=_percent(metadata["calibration_error"]),
        facts={key: _fact(key, value) for key, value in about.get("facts", {}).items()},
        images=parity["images"],
        rows=parity_table(parity),
        precision=precision_note(parity),
        compared="the exported Keras network" if parity.get("half_precision") else "the trained model",
        configuration=json.dumps(about["configuration"], indent=2) if "configuration" in about else None,
    )


def _fact(key: str, value: str) -> str:
    """Return a fact about a training run as Markdown, in which the command is code."""
    return f"`{printable(value.strip('`')).replace('`', chr(39))}`" if key == "command" else markdown_text(value)


def parity_table(parity: dict) -> list[list[str]]:
    """Return table rows that compare each exported file's outputs with those of the trained model.

    Its rows are lists of text. The columns are: artefact, KiB, accuracy, same label, difference, limit, ms, note.
    """
    return [
        [
            row["what"],
            "" if row["kilobytes"] is None else f"{row['kilobytes']:,.0f}",
            _percent(row["accuracy"]) or "",
            _percent(row["agreement"]),
            "none" if row["difference"] is None else f"{row['difference']:.1e}",
            "" if row["tolerance"] is None else f"{row['tolerance']:.0e}",
            "" if row["milliseconds"] is None else f"{row['milliseconds']:.2f}",
            (row["note"] if row["holds"] else f"MISS {row['note']}").replace("|", "/").replace("\n", " ").strip(),
        ]
        for row in parity["rows"]
    ]


def precision_note(parity: dict) -> str | None:
    """Describe how exporting a half-precision model in float32 changes its outputs, or return None for other models.

    The argument is the contents of `parity.json`.
    """
    precision = parity.get("half_precision")
    if not precision:
        return None
    (row,) = [row for row in parity["rows"] if row["what"] == f"Keras in {precision}"]
    difference = "are not finite" if row["difference"] is None else f"differ by up to {row['difference']:.1e}"
    return (
        f"The model was trained in {precision}; the network is exported in float32, and the files are compared with "
        f"that. The outputs of the model as trained {difference}."
    )


def _percent(share):
    return None if share is None else f"{share:.2%}"
