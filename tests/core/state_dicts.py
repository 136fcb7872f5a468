"""Random state dicts with the names and shapes of the released PyTorch networks."""

import numpy as np


class StateDict(dict):
    """Dictionary of random arrays, with methods that add those of a layer under their names in the release."""

    def __init__(self, rng):
        super().__init__()
        self.rng = rng

    def conv(self, name, out_channels, group_in, kernel):
        fan_in = group_in * kernel * kernel
        self[f"{name}.weight"] = self.rng.normal(0, fan_in**-0.5, (out_channels, group_in, kernel, kernel))
        self[f"{name}.bias"] = self.rng.normal(0, 0.3, out_channels)

    def norm(self, name, channels):
        self[f"{name}.weight"] = self.rng.uniform(0.5, 2, channels)
        self[f"{name}.bias"] = self.rng.normal(0, 0.5, channels)
        self[f"{name}.running_mean"] = self.rng.normal(0, 0.3, channels)
        self[f"{name}.running_var"] = self.rng.uniform(0.005, 0.05, channels)
        self[f"{name}.num_batches_tracked"] = np.array(7)

    def mapping(self, prefix, capsules, dim_in, dim_out, kernel, routing):
        channels = capsules * dim_out
        if routing == "master":
            self.conv(f"{prefix}conv.0", channels, dim_in, kernel)
            return
        self.conv(f"{prefix}main_cap.0.conv.0", channels, dim_in, kernel)
        self.norm(f"{prefix}main_cap.1", channels)
        self.conv(f"{prefix}res_cap.0", channels, capsules * dim_in, kernel + 4)
        self.norm(f"{prefix}res_cap.1", channels)
        self.conv(f"{prefix}main_cap_coeff", capsules, dim_out, 3)
        self.conv(f"{prefix}res_cap_coeff", capsules, dim_out, 3)

    def module(self, prefix, capsules, dim_in, dim_out, depth, routing):
        channels = capsules * dim_out
        self.mapping(f"{prefix}main_conv.block.0.", capsules, dim_in, dim_out, 3, routing)
        self.norm(f"{prefix}main_conv.block.1", channels)
        self.conv(f"{prefix}main_conv.conv_adjust_blob_shape", channels, capsules * dim_in, 3)
        for j in range(depth):
            self.mapping(f"{prefix}sub_conv.block.{4 * j}.", capsules, dim_out, dim_out, 1, routing)
            self.norm(f"{prefix}sub_conv.block.{4 * j + 1}", channels)


def network_state(rng, image_channels, classes, capsules, depths, dims, last_map, routing):
    """Return a network's state dict; `last_map` is (height, width) of the feature map that the capFC reads."""
    state = StateDict(rng)
    state.conv("module0.0", capsules, image_channels, 3)
    state.norm("module0.1", capsules)
    for m, (depth, dim_in, dim_out) in enumerate(zip(depths, (1, *dims), dims, strict=False), start=1):
        state.module(f"module{m}.", capsules, dim_in, dim_out, depth, routing)
    inputs = capsules * last_map[0] * last_map[1]
    state["final_cls.weight"] = rng.normal(0, 1 / inputs**0.5, (dims[-1], inputs, classes))
    return dict(state)
