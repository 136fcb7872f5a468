"""Reader for `.npz` files, the archives of named arrays that `numpy.savez` writes."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from ...runs.errors import UserError, reason


def read_npz(path: Path, required: Collection[str], optional: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Read arrays by name from an `.npz` file.

    Args:
        path: the file.
        required: names of arrays that the file must contain.
        optional: names of arrays to read if the file contains them.

    Returns:
        Name -> array.

    Raises:
        UserError: the file cannot be read, is damaged, has no array of a required name, or has an array of Python
            objects, which NumPy could load only by running code from the file.
    """
    try:
        with open(path, "rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise UserError(
                    f"{path} is no .npz file but a single array. Write it by numpy.savez(path, {_keywords(required)})."
                )
            if missing := [name for name in required if name not in file.files]:
                raise UserError(
                    f"{path} has no array named {', '.join(missing)}. Expected the arrays {', '.join(required)}. "
                    f"Found {', '.join(file.files) or 'none'}. Write it by numpy.savez(path, {_keywords(required)})."
                )
            return {name: _read_array(path, file, name) for name in (*required, *optional) if name in file.files}
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None
    except Exception as error:  # a damaged file can raise nearly any
        raise UserError(f"{path} is damaged, truncated or no .npz file: {reason(error)}") from None


def _read_array(path: Path, file, name: str) -> np.ndarray:
    try:
        return file[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise UserError(
            f"{path}: {name} is an array of Python objects, which is not read, because a file of objects can run "
            "code. Expected an array of numbers, such as images of one size: numpy.stack(images)."
        ) from None


def _keywords(names) -> str:
    return ", ".join(f"{name}={name}" for name in names)
