"""Extraction of patches from a feature map of capsules, for convolutional routing layers."""

from keras import ops as K

PADDINGS = ("same", "valid")


def capsule_patches(x, num_capsules: int, kernel_size: tuple[int, int], strides: tuple[int, int], padding: str):
    """Extract the capsules inside a sliding window, for each position of the window on a feature map.

    Args:
        x: feature map (batch, height, width, num_capsules * capsule_dim), capsule-major.
        num_capsules: capsules at each position of `x`.
        kernel_size: height and width of the window.
        strides: steps of the window, downwards and to the right.
        padding: "same": `kernel_size // 2` zeros on both sides, at every stride; "valid": none.

    Returns:
        Capsules (window height * window width * num_capsules, batch * positions, capsule_dim), where the first axis
        runs over (row of the window, column of the window, capsule); and the numbers of positions downwards and to the
        right.
    """
    capsule_dim = x.shape[-1] // num_capsules
    if padding == "same":
        x = K.pad(x, [(0, 0), *((size // 2, size // 2) for size in kernel_size), (0, 0)])
    rows, columns = (
        [slice(offset, offset + 1 - size or None, stride) for offset in range(size)]
        for size, stride in zip(kernel_size, strides, strict=True)
    )
    windows = [x[:, row, column] for row in rows for column in columns]
    patches = [K.transpose(K.reshape(window, (-1, num_capsules, capsule_dim)), (1, 0, 2)) for window in windows]
    return patches[0] if len(patches) == 1 else K.concatenate(patches, axis=0), tuple(K.shape(windows[0])[1:3])


def window_counts(layer: str, input_shape, kernel_size: tuple[int, int], strides: tuple[int, int], padding: str):
    """Return the numbers of sliding-window positions along the height and the width of a feature map.

    Raise ValueError if the map is smaller than the window.

    Args:
        layer: the layer's name, for the error.
        input_shape: (batch, height, width, channels); height and width may be None, and so is then the number.
        kernel_size, strides, padding: as in `capsule_patches`.
    """
    counts = tuple(
        None if size is None else (size + (2 * (kernel // 2) if padding == "same" else 0) - kernel) // stride + 1
        for size, kernel, stride in zip(input_shape[1:3], kernel_size, strides, strict=True)
    )
    if any(count is not None and count < 1 for count in counts):
        raise ValueError(
            f"{layer} expects a feature map of at least its kernel's size {kernel_size} with padding={padding!r}. "
            f"Received: input shape {tuple(input_shape)}."
        )
    return counts
