"""Rules that choose the fastest implementation of a convolution, derived from benchmark results.

Each row of a table holds a condition, a lowering and where it was measured. The first row whose condition holds
decides. Thresholds stand in the conditions and nowhere else. A tap is one position of the convolution kernel.

TensorFlow has no gradient kernel for grouped convolutions
on a CPU: Keras has XLA compile `Conv2D(groups=32)`, which then runs tens to hundreds of times slower than the lowerings
below.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from keras import backend

from encapnet_tf.ops.acceleration import accelerates, default_device, portable_runtime, run_compiled
from encapnet_tf.ops.convolution import lowerings, tap_products, winograd

_DENSE_RESULTS = "results/dense_conv.md"
_GROUPED_RESULTS = "results/grouped_conv.md"
_GPU_RESULTS = "results/gpu_grouped.md"
_NO_RESULTS = "no table in results/"


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """Properties of a convolution by which the fastest implementation is chosen.

    Attributes:
        size: side of the kernel; 0 where it is not square.
        strides: step in both directions.
        groups: number of groups; 1 is dense.
        channels_in, channels_out: channels of one group.
        positions: number of positions of the output map; infinite where unknown. (Of a transposed convolution, of the
            input map.)
        used_share_of_tiles: share of the positions in 4x4 tiles over the output map that lie on the map; 0 where
            unknown.
        image_entries: numbers in the input map of one image; infinite where unknown.
        training: whether a gradient will be computed.
        accelerated: whether TensorFlow's compiled functions are to be used, see `accelerates`.
        runtime: what the graph is exported for ("tensorflow" or "litert"); None where it runs on this machine.
        device: where it runs, as in `default_device`; "cpu" where it is exported.
        prefers_native: whether the backend's own dense convolution is the fastest.
    """

    size: int
    strides: int
    groups: int
    channels_in: int
    channels_out: int
    positions: float
    used_share_of_tiles: float
    image_entries: float
    training: bool
    accelerated: bool
    runtime: str | None
    device: str
    prefers_native: bool

    @classmethod
    def of(cls, x, kernel, groups, strides, training):
        """Collect the properties of a convolution that decide which implementation is used."""
        runtime = portable_runtime()
        device = default_device() if runtime is None else "cpu"
        output_size = [math.inf if n is None else -(-n // strides) for n in x.shape[1:3]]
        positions = math.prod(output_size)
        return cls(
            size=kernel.shape[0] if kernel.shape[0] == kernel.shape[1] else 0,
            strides=strides,
            groups=groups,
            channels_in=kernel.shape[2],
            channels_out=kernel.shape[3] // groups,
            positions=positions,
            used_share_of_tiles=0.0
            if positions == math.inf
            else positions / winograd.count_tiled_positions(output_size),
            image_entries=math.prod(math.inf if n is None else n for n in x.shape[1:]),
            training=bool(training),
            accelerated=accelerates(training, x, kernel),
            runtime=runtime,
            device=device,
            prefers_native=device == "gpu" or backend.backend() != "tensorflow",
        )

    @property
    def matrix_entries(self) -> int:
        """Product of the numbers of input and output channels in one group of a convolution.

        It is the number of weights per group and kernel position.
        """
        return self.channels_in * self.channels_out

    @property
    def is_wide_on_a_small_map(self) -> bool:
        """True if the convolution has a large kernel, many channels and a small output feature map.

        The output map has up to 36 positions, and the kernel many taps and at least 128 channels. One matrix product
        per tap is then the fastest. TensorFlow's convolution parallelises over positions, which are too few here, and
        also multiplies the zeros of the padding: up to half of all products.
        """
        many_taps = self.size >= 5 or (self.size == 3 and self.strides > 1)
        return many_taps and self.positions <= 36 and min(self.channels_in, self.channels_out) >= 128

    @property
    def suits_winograd(self) -> bool:
        """True if Winograd's algorithm is faster: on maps of 8x8 to 16x16 outputs and with many channels.

        On larger maps the tiles leave the processor's cache. On smaller ones a product has too few rows, and with few
        channels too little work for the time that the transforms take. The outputs are computed in tiles of 4x4, so
        that those over the map's edge are lost.
        """
        least_channels = {(5, 1): 128, (7, 2): 64}.get((self.size, self.strides), math.inf)
        wide = self.channels_in >= least_channels and self.channels_out >= 128
        return wide and 36 < self.positions <= 256 and self.used_share_of_tiles >= 0.75


class Row(NamedTuple):
    """Rule that assigns one convolution implementation to all convolutions that meet a condition.

    The lowering is called with (x, kernel, convolution), in `TRANSPOSED` with the output size after that.
    """

    condition: Callable[[Convolution], bool]
    lowering: Callable
    measured_in: str


def convolve(x, kernel, groups, strides, training):
    """Apply a convolution with the implementation that is fastest for the given tensor shapes."""
    convolution = Convolution.of(x, kernel, groups, strides, training)
    return _first_match(DENSE if groups == 1 else GROUPED, convolution)(x, kernel, convolution)


def convolve_transposed(x, kernel, groups, output_size, training):
    """Apply a transposed 3x3 convolution of stride 2 with the fastest implementation for the given tensor shapes.

    It convolves the map with zeros inserted between its pixels.

    Args:
        x, kernel, groups, training: as in `convolve`; the kernel is 3x3.
        output_size: (height, width), each twice the input's or 1 less.
    """
    convolution = Convolution.of(x, kernel, groups, 1, training)
    return _first_match(TRANSPOSED, convolution)(x, kernel, convolution, output_size)


def _first_match(table, convolution):
    return next(row.lowering for row in table if row.condition(convolution))


def _tensorflow_kernels():
    from encapnet_tf.ops.convolution import on_tensorflow

    return on_tensorflow


# The lowerings of the tables, with one signature.


def _winograd(x, kernel, c):
    return run_compiled(winograd.winograd_convolution, (x, kernel), c.training, strides=c.strides)


def _native(x, kernel, c):
    return lowerings.native_convolution(x, kernel, c.strides)


def _narrow(x, kernel, c):
    return run_compiled(lowerings.narrow_convolution, (x, kernel), c.training, strides=c.strides)


def _tap_products_in_training(x, kernel, c):
    return _tensorflow_kernels().tap_convolution(x, kernel, c.strides)


def _tap_products_in_inference(x, kernel, c):
    return tap_products.tap_convolution(x, kernel, c.strides)


def _dense_convolution_with_own_gradient(x, kernel, c):
    return _tensorflow_kernels().dense_convolution(x, kernel)


def _strided_with_recomputed_padding(x, kernel, c):
    return _tensorflow_kernels().strided_convolution(x, kernel, c.strides)


def _grouped_convolution_of_litert(x, kernel, c):
    return _tensorflow_kernels().grouped_convolution(x, kernel, c.strides)


def _subsample_first(x, kernel, c):
    x = x[:, :: c.strides, :: c.strides]
    c = replace(c, strides=1)
    return _first_match(GROUPED, c)(x, kernel, c)


def _matmul_per_group(x, kernel, c):
    return lowerings.matmul_per_group([(x, kernel[0, 0])], c.groups)


def _multiply_add_in_one_pass(x, kernel, c):
    return _tensorflow_kernels().multiply_add_convolution(x, kernel, c.groups, c.strides)


def _matmul_per_tap(x, kernel, c):
    options = {"groups": c.groups, "strides": c.strides, "contract": lowerings.matmul_per_group}
    return run_compiled(lowerings.grouped_tap_convolution, (x, kernel), c.training, **options)


def _block_diagonal(x, kernel, c):
    return lowerings.block_diagonal_convolution(x, kernel, c.groups, c.strides)


def _dense_of_16_channels(x, kernel, c):
    return lowerings.multi_group_convolutions(x, kernel, c.groups, c.strides, channels=16)


def _dense_of_512_channels(x, kernel, c):
    return lowerings.multi_group_convolutions(x, kernel, c.groups, c.strides, channels=512)


def _depthwise(x, kernel, c):
    return lowerings.depthwise_convolution(x, kernel, c.groups, c.strides)


def _doubling_multiply_add(x, kernel, c, output_size):
    return _tensorflow_kernels().doubling_convolution(x, kernel, c.groups, output_size)


def _doubling_matmul_per_tap(x, kernel, c, output_size):
    options = {"groups": c.groups, "output_size": output_size, "contract": lowerings.matmul_per_group}
    return run_compiled(lowerings.doubling_tap_convolution, (x, kernel), c.training, **options)


def _insert_zeros(x, kernel, c, output_size):
    x = lowerings.insert_zeros(lowerings.insert_zeros(x, 1, output_size[0]), 2, output_size[1])
    return convolve(x, kernel, c.groups, 1, c.training)


def _otherwise(_):
    return True


DENSE = (
    Row(lambda c: c.prefers_native, _native, _NO_RESULTS),
    # One or two filters leave most of a processor's vector lanes unused in a convolution. One matrix product for all
    # taps, whose results are shifted and added, fills them.
    Row(lambda c: c.accelerated and c.channels_out <= 2 and c.strides <= 2, _narrow, _DENSE_RESULTS),
    Row(lambda c: c.accelerated and c.is_wide_on_a_small_map, _tap_products_in_training, _DENSE_RESULTS),
    # Without XLA, extracting strided patches costs more than it saves. Exported graphs keep Conv2D.
    Row(
        lambda c: c.is_wide_on_a_small_map and c.strides == 1 and not c.training and c.runtime is None,
        _tap_products_in_inference,
        _DENSE_RESULTS,
    ),
    Row(lambda c: c.accelerated and c.suits_winograd, _winograd, _DENSE_RESULTS),
    # On large maps the padded copy is recomputed for the gradient: keeping it costs memory. On smaller ones recomputing
    # costs more than it saves.
    Row(
        lambda c: c.accelerated and c.size > 1 and c.strides > 1 and c.image_entries >= 2**15,
        _strided_with_recomputed_padding,
        _DENSE_RESULTS,
    ),
    Row(
        lambda c: c.accelerated and c.size > 1 and c.strides == 1, _dense_convolution_with_own_gradient, _DENSE_RESULTS
    ),
    Row(_otherwise, _native, _DENSE_RESULTS),
)

GROUPED = (
    # A GPU's grouped convolutions are slow for small groups. Most products of dense ones are with zeros, but run in its
    # matrix units.
    Row(
        lambda c: c.device == "gpu" and min(c.channels_in, c.channels_out) < 16,
        _dense_of_512_channels,
        _GPU_RESULTS,
    ),
    # JAX's grouped convolutions on a CPU have gradients tens to hundreds of times as slow.
    Row(lambda c: c.device == "cpu" and c.prefers_native, _dense_of_16_channels, _NO_RESULTS),
    Row(lambda c: c.prefers_native, _native, _NO_RESULTS),
    Row(lambda c: c.runtime == "litert", _grouped_convolution_of_litert, _NO_RESULTS),
    # A strided 1x1 kernel skips pixels, which are dropped first.
    Row(lambda c: c.size == 1 and c.strides > 1, _subsample_first, _NO_RESULTS),
    # A 1x1 kernel with at least 64 weights in each group: one matrix product per group is efficient.
    Row(lambda c: c.size == 1 and c.matrix_entries >= 64, _matmul_per_group, _GROUPED_RESULTS),
    # One output channel per group: a depthwise convolution, then a sum over the input channels of the group.
    Row(lambda c: c.size == 3 and c.channels_out == 1 and c.channels_in >= 8, _depthwise, _GROUPED_RESULTS),
    # Small groups are limited by memory traffic: XLA fuses their products and sums into one pass.
    Row(
        lambda c: c.accelerated and c.size in (1, 3) and c.strides <= 2 and c.matrix_entries <= 64,
        _multiply_add_in_one_pass,
        _GROUPED_RESULTS,
    ),
    Row(lambda c: c.accelerated and c.size == 3 and c.strides <= 2, _matmul_per_tap, _GROUPED_RESULTS),
    Row(lambda c: c.size == 1, _block_diagonal, _GROUPED_RESULTS),
    # A depthwise convolution computes one output channel of a group after another.
    Row(
        lambda c: c.size == 3 and not c.training and min(c.channels_in, c.channels_out) >= 2,
        _dense_of_16_channels,
        _GROUPED_RESULTS,
    ),
    Row(_otherwise, _depthwise, _GROUPED_RESULTS),
)

TRANSPOSED = (
    Row(lambda c: c.accelerated and c.groups > 1 and c.matrix_entries <= 64, _doubling_multiply_add, _GROUPED_RESULTS),
    Row(lambda c: c.accelerated and c.groups > 1, _doubling_matmul_per_tap, _GROUPED_RESULTS),
    Row(_otherwise, _insert_zeros, _GROUPED_RESULTS),
)
