"""What is written beside the artefacts: the model card and the files that start a server, from templates."""

import json
from pathlib import Path

import jinja2

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    autoescape=False,  # no HTML
)
_MOST_NAMES = 20
SERVING_FILES = ("compose.yaml", "models.config")


def write_serving_files(folder, name: str):
    """The compose file and the model config of TF Serving."""
    folder.mkdir()
    for file in SERVING_FILES:
        (folder / file).write_text(_ENVIRONMENT.get_template(file).render(name=name), encoding="utf-8")


def model_card(metadata: dict, parity: dict) -> str:
    """The model card, in Markdown, of what `metadata.json` and `parity.json` say."""
    names, about, seen = metadata["class_names"], metadata["about"], metadata["image"]["seen"]
    return _ENVIRONMENT.get_template("model_card.md").render(
        **{key: metadata[key] for key in ("name", "version", "created", "source", "parameters")},
        classes=len(names),
        class_names=", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else ""),
        colour="gray" if seen[2] == 1 else "colour",
        seen=f"{seen[0]}x{seen[1]}",
        data=about.get("data"),
        score="the length of the class's capsule" if "capsules" in metadata["outputs"] else "what the model ends with",
        calibration=_percent(metadata["calibration_error"]),
        facts=about.get("facts", {}),
        images=parity["images"],
        rows=parity_table(parity),
        configuration=json.dumps(about["configuration"], indent=2) if "configuration" in about else None,
    )


def parity_table(parity: dict) -> list:
    """The rows of the table of artefacts, as texts: what, KiB, accuracy, same label, difference, limit, ms, note."""
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


def _percent(share):
    return None if share is None else f"{share:.2%}"
