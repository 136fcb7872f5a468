"""Reader for numeric arrays in MATLAB files, the file format of the SVHN data set."""

from pathlib import Path

import numpy as np

from ...runs.errors import UserError, reason

_DEFLATE_LIMIT = 1032  # No deflate stream expands further, so a header that promises more is wrong.


def read_matlab(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Read numeric arrays by variable name from a MATLAB file of version 4 to 7.2.

    Args:
        path: the file.
        names: names of the variables.

    Returns:
        Name -> array.

    Raises:
        UserError: the file cannot be read, is damaged or truncated, is of version 7.3, or has no array of numbers of a
            given name.
    """
    from scipy import io

    try:
        with open(path, "rb") as file:
            shapes = {name: shape for name, shape, _ in io.whosmat(file)}
            if missing := [name for name in names if name not in shapes]:
                raise UserError(
                    f"{path} has no variable {', '.join(missing)}: it is another file or truncated. Found "
                    f"{', '.join(shapes) or 'none'}. Download it again."
                )
            if any(np.prod(shapes[name], dtype=float) > path.stat().st_size * _DEFLATE_LIMIT for name in names):
                raise UserError(f"{path} is truncated: its variables are larger than a file of its size can hold.")
            file.seek(0)
            variables = io.loadmat(file, variable_names=names)
    except UserError:
        raise
    except NotImplementedError:
        raise UserError(
            f"{path} is a MATLAB file of version 7.3. Save it again in MATLAB by save(..., '-v7')."
        ) from None
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None
    except Exception as error:  # a damaged file can raise nearly any
        raise UserError(
            f"{path} is damaged, truncated or no MATLAB file: {reason(error)}. Download it again."
        ) from None
    for name in names:
        if getattr(variables.get(name), "dtype", np.dtype(object)).kind not in "biuf":
            raise UserError(f"{path}: its variable {name} is no array of numbers.")
    return {name: variables[name] for name in names}
