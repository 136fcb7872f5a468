"""Output formats of the command `encapnet predict`: text, CSV and JSON Lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...trainers.commands.records import csv_line, json_line
from ...trainers.runs.counting import counted
from ...trainers.runs.errors import UserError
from ...trainers.runs.terminal import printable

if TYPE_CHECKING:
    import numpy as np

_TEXT_CLASSES = 3  # of each image, in text
_COLUMNS = ("file", "label", "class_name", "length")


class PredictionOutput:
    """Formatter that prints class scores as text, CSV or JSON Lines, with one record for each image.

    Text has the three classes with the highest scores. CSV and JSON have the file, the label (the index of the highest
    score), the name of that class, its score under "length", and the scores of all classes: in JSON a list "lengths",
    in CSV a column "length_NAME" for each class. Scores are the lengths of the class capsules; of networks without
    capsules they are the outputs of the last layer.

    Args:
        format: "text", "csv" or "json".
        class_names: name of each class; None if they are not known.
        width: characters of the column of file names in text.
    """

    def __init__(self, format: str, class_names: Sequence[str] | None, width: int = 0):
        self.class_names, self.width = class_names, width
        self._print = {"text": self._print_text, "csv": self._print_csv, "json": self._print_json}[format]
        self._has_header = False
        self._classes: int | None = None

    def print(self, file: str, lengths: np.ndarray) -> None:
        """Print the class scores of one image.

        Args:
            file: path of the image.
            lengths: (classes,) scores.

        Raises:
            UserError: the number of scores is not that of the class names, or not that of earlier images.
        """
        if self._classes is not None and len(lengths) != self._classes:
            raise UserError(
                f"The model gave {counted(self._classes, 'score')} for earlier images and {len(lengths)} for {file}. "
                "Is another model being loaded at the server? Try again.",
                status=1,
            )
        self._classes = len(lengths)
        if self.class_names is not None and len(self.class_names) != len(lengths):
            raise UserError(
                f"Received {counted(len(self.class_names), 'class name')} for {counted(len(lengths), 'score')}. "
                "--labels needs one line for each class."
            )
        self._print(file, lengths)

    def _print_text(self, file, lengths):
        order = lengths.argsort()[::-1][:_TEXT_CLASSES]
        scores = "  ".join(f"{self._name(i)} {lengths[i]:.3f}" for i in order)
        print(f"{printable(file):<{self.width}}  {printable(scores)}")

    def _print_csv(self, file, lengths):
        if not self._has_header:
            print(csv_line([*_COLUMNS, *(f"length_{name}" for name in self._column_names(len(lengths)))]))
            self._has_header = True
        record = self._record(file, lengths)
        print(csv_line([*record.values(), *_decimals(lengths)]))

    def _print_json(self, file, lengths):
        print(json_line({**self._record(file, lengths), "lengths": _decimals(lengths)}))

    def _record(self, file, lengths) -> dict:
        label = int(lengths.argmax())
        name = None if self.class_names is None else self.class_names[label]
        return dict(zip(_COLUMNS, (file, label, name, _decimals(lengths)[label]), strict=True))

    def _name(self, label):
        return label if self.class_names is None else self.class_names[label]

    def _column_names(self, classes):
        """Return a unique CSV column name for every class.

        They are the class names, or the indices if the names are unknown or not unique.
        """
        if self.class_names is None or len(set(self.class_names)) < classes:
            return range(classes)
        return self.class_names


def _decimals(lengths: np.ndarray) -> list[float]:
    """Convert float32 numbers to Python floats that print with the fewest digits.

    For example 0.93, not 0.9300000071525574.
    """
    return [float(str(length)) for length in lengths.astype("float32")]
