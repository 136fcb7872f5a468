"""The released network in evaluation mode, in plain float64 NumPy, written from the paper and its state dicts.

Shares no code with the package. Feature maps are (batch, height, width, channels), capsule-major; `state` maps the
release's names to arrays in PyTorch's layout, convolution kernels (out, in / groups, height, width).
"""

import numpy as np


def convolve(x, weight, bias, groups=1, stride=1):
    """Convolution by loops over the kernel's positions and the groups, `kernel // 2` zeros on each side."""
    x, weight = np.float64(x), np.float64(weight)
    batch, height, width, _ = x.shape
    out_channels, group_in, kernel_height, kernel_width = weight.shape
    group_out = out_channels // groups
    rows, columns = kernel_height // 2, kernel_width // 2
    padded = np.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0)))
    y = np.zeros((batch, -(-height // stride), -(-width // stride), out_channels))
    for row in range(y.shape[1]):
        for column in range(y.shape[2]):
            top, left = row * stride, column * stride
            patch = padded[:, top : top + kernel_height, left : left + kernel_width, :]
            for g in range(groups):
                mine = slice(g * group_out, (g + 1) * group_out)
                group_patch = patch[..., g * group_in : (g + 1) * group_in]
                y[:, row, column, mine] = np.einsum("bhwi,oihw->bo", group_patch, weight[mine])
    return y + np.float64(bias)


def normalize(x, state, name):
    """BatchNorm with running statistics, epsilon 1e-5."""
    scale = np.float64(state[f"{name}.weight"]) / np.sqrt(np.float64(state[f"{name}.running_var"]) + 1e-5)
    return (x - state[f"{name}.running_mean"]) * scale + state[f"{name}.bias"]


def squash(x):
    """v = |s|^2 / (1 + |s|^2) * s / |s| along the last axis; 0 at s = 0."""
    length = np.sqrt(np.sum(np.square(np.float64(x)), axis=-1, keepdims=True))
    return length**2 / (1 + length**2) * np.divide(x, length, out=np.zeros_like(np.float64(x)), where=length > 0)


def squash_map(x, capsules):
    """Squash of a feature map's capsules."""
    return squash(x.reshape(*x.shape[:-1], capsules, -1)).reshape(x.shape)


def branch_end(x, state, name, capsules):
    """BatchNorm -> ReLU -> squash."""
    return squash_map(np.maximum(normalize(x, state, name), 0), capsules)


def conv(x, state, name, groups=1, stride=1):
    return convolve(x, state[f"{name}.weight"], state[f"{name}.bias"], groups, stride)


def interaction(x, state, prefix, capsules, stride, coefficients):
    """Master and aide, weighted: "own", each coefficient scales the branch it comes from; "cross", the other one."""
    master = conv(x, state, f"{prefix}main_cap.0.conv.0", capsules, stride)
    master = branch_end(master, state, f"{prefix}main_cap.1", capsules)
    aide = conv(x, state, f"{prefix}res_cap.0", 1, stride)
    aide = branch_end(aide, state, f"{prefix}res_cap.1", capsules)
    from_master = conv(master, state, f"{prefix}main_cap_coeff", capsules)
    from_aide = conv(aide, state, f"{prefix}res_cap_coeff", capsules)
    scales_master, scales_aide = {"own": (from_master, from_aide), "cross": (from_aide, from_master)}[coefficients]
    components = master.shape[-1] // capsules
    return np.repeat(scales_master, components, -1) * master + np.repeat(scales_aide, components, -1) * aide


def cap_conv(x, state, mapping, norm, capsules, stride=1, coefficients="cross", shortcut=0.0):
    """One capConv: its mapping is at `mapping`, its closing BatchNorm at `norm`; master alone if no aide is there."""
    if f"{mapping}conv.0.weight" in state:
        y = conv(x, state, f"{mapping}conv.0", capsules, stride)
    else:
        y = interaction(x, state, mapping, capsules, stride, coefficients)
    return branch_end(y + shortcut, state, norm, capsules)


def module(x, state, prefix, capsules, stride=2, coefficients="cross"):
    """Type I with its dense shortcut, then the type II layers, the last of which the type I output joins."""
    main = f"{prefix}main_conv"
    shortcut = conv(x, state, f"{main}.conv_adjust_blob_shape", 1, stride)
    type1 = cap_conv(x, state, f"{main}.block.0.", f"{main}.block.1", capsules, stride, coefficients, shortcut)
    depth = len({name.split("sub_conv.block.")[1].split(".")[0] for name in state if f"{prefix}sub_conv" in name}) // 2
    y = type1
    for j in range(depth):
        block = f"{prefix}sub_conv.block."
        joins = type1 if j == depth - 1 else 0.0
        y = cap_conv(y, state, f"{block}{4 * j}.", f"{block}{4 * j + 1}", capsules, 1, coefficients, joins)
    return y


def cap_fc(x, weight):
    """One matrix per component over the capsules in the order (capsule, height, width), then squash."""
    components = weight.shape[0]
    batch, height, width, channels = x.shape
    capsules = x.reshape(batch, height, width, channels // components, components)
    capsules = capsules.transpose(0, 3, 1, 2, 4).reshape(batch, -1, components)
    return squash(np.stack([capsules[..., d] @ np.float64(weight[d]) for d in range(components)], axis=-1))


def network(x, state, capsules, strides, coefficients="cross"):
    """Whole network: images -> lengths of the class capsules."""
    y = np.maximum(normalize(conv(x, state, "module0.0"), state, "module0.1"), 0)
    for m, stride in enumerate(strides, start=1):
        y = module(y, state, f"module{m}.", capsules, stride, coefficients)
    return np.linalg.norm(cap_fc(y, state["final_cls.weight"]), axis=-1)
