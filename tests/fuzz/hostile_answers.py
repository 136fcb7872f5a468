"""Answers of a server with changed bytes, from a seed."""

import json
import random

import numpy as np

_ROW = {"lengths": [0.25, 0.5], "label": 1, "capsules": [[0.25], [0.5]]}
_PIECES = [b"", b"NaN", b"[", b"]", b"null", b"1e999", b'"', b"-", b"\xff", b"{}", b"true", b"[]"]


def problems_of_answers(seed: int, count: int) -> list[str]:
    """Read damaged answers: an error for people, or scores of the right shape.

    Scores that are not finite are passed on: `encapnet predict` names their image.
    """
    from encapnet_tf.export.serving.answers import checked_outputs
    from encapnet_tf.export.serving.clients import _outputs
    from encapnet_tf.trainers.runs.errors import UserError

    rng, problems = random.Random(seed), []
    good = json.dumps({"predictions": [_ROW, _ROW]}).encode()
    for _ in range(count):
        answer = bytearray(good)
        for _ in range(rng.choice([1, 1, 2, 5])):
            position = rng.randrange(len(answer))
            answer[position : position + rng.randint(0, 3)] = rng.choice(_PIECES)
        try:
            lengths = checked_outputs(_outputs("url", bytes(answer), 2), 2, "url")["lengths"]
        except UserError:
            continue
        except Exception as error:
            problems.append(f"{bytes(answer)!r}: {type(error).__name__}: {error}")
            continue
        if lengths.shape[:1] != (2,) or not np.issubdtype(lengths.dtype, np.number):
            problems.append(f"{bytes(answer)!r}: {lengths!r}")
    return problems
