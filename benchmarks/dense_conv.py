"""Benchmark of several implementations of the dense (ungrouped) convolutions in EncapNet-18.

python -m benchmarks.dense_conv [--quick] [--out FOLDER]

Forward, and forward + gradient with respect to input and kernel; batch 32, float32.
"""

from collections import Counter

from benchmarks.grouped_conv import contestants, row_of
from benchmarks.harness.arguments import argument_parser
from benchmarks.harness.processes import Processes
from benchmarks.harness.report import Report
from benchmarks.harness.timing import QUICK_ROUNDS, ROUNDS, measure
from benchmarks.workloads.grouped_conv_shapes import DIMS, SIZES, TYPE2, Shape

CAPSULES = 32
ALTERNATIVES = {
    "native": ("native", False),
    "pads inside": ("pads_inside", False),
    "patches XLA": ("patches_matmul", True),
}
WINOGRAD = {
    "Winograd XLA": ("winograd", True),
    "Winograd XLA in parts": ("winograd_in_parts", True),
    "Winograd along rows": ("winograd_along_rows", False),
}
ABOUT = (
    "ms of one call, medians of interleaved rounds. Each runs in one plain `tf.function`, as in a training step. "
    "`native`: a padded copy, then `keras.ops.conv`; `pads inside`: TensorFlow's convolution with explicit padding; "
    "`patches XLA`: what each output sees, side by side, in one matrix product, compiled. `Winograd XLA`: the "
    "library's implementation, at any size; `in parts`: four images at a time; `along rows`: F(4, 5), and convolutions "
    "with 5x1 kernels; for 5x5 and 7x7 s2 on maps from 8x8. `count`: how often the shape stands in EncapNet-18, "
    "master/aide, feedback two. `floor`: the longer of moving the bytes at the speed of a copy and computing all "
    "products, those with the zeros around the map too, at the speed of a large matrix product: a lowering that leaves "
    "those out can be below it. –: does not apply."
)


def dense_shapes(capsules=CAPSULES):
    """Return the shapes of all dense (ungrouped) convolutions in EncapNet-18.

    Every module has aides, shortcuts and the feedback units' extractors.
    """
    shapes, feedback_maps = [], Counter()
    for below, here in zip(range(4), range(1, 5), strict=True):
        size, strides = SIZES[here], SIZES[below] // SIZES[here]
        channels_below, channels = capsules * DIMS[below], capsules * DIMS[here]
        shapes += [
            Shape("aide, type I", SIZES[below], channels_below, channels, 7, strides, 1),
            Shape("shortcut, type I", SIZES[below], channels_below, channels, 3, strides, 1),
            Shape("aide, type II", size, channels, channels, 5, 1, TYPE2),
        ]
        feedback_maps.update([(SIZES[below], channels_below), (size, channels)])  # "half" and "same"
    for (size, channels), units in feedback_maps.items():
        strides, width = 1 if size < 8 else 2, channels // 4
        shapes += [
            Shape("extractor, first", size, channels, width, 3, strides, 2 * units),  # of both sides, u' and u
            Shape("extractor, second", size // strides, width, 1, 3, strides, 2 * units),
        ]
    return shapes


def alternatives_for(shape):
    """Return the implementations to compare with this package's convolution, for one layer shape."""
    kind = shape.kernel, shape.strides
    if shape.size < 8 or kind not in ((5, 1), (7, 2)):
        return ALTERNATIVES
    return ALTERNATIVES | {name: WINOGRAD[name] for name in WINOGRAD if kind == (5, 1) or name == "Winograd XLA"}


def main(arguments=None, selection=None, batch=32):
    flags = argument_parser(__doc__).parse_args(arguments)
    selection = dense_shapes() if selection is None else selection
    if flags.quick:
        selection, batch = selection[-1:], 2
    report = Report("dense_conv", "Dense convolutions", ABOUT, flags.quick)
    with Processes() as processes:
        for gradient in (True, False):
            title = "Forward + gradient" if gradient else "Forward"
            rows = []
            for shape in selection:
                print(f"{title}: {shape}", flush=True)
                entries = contestants(
                    shape, gradient=gradient, batch=batch, groups=1, alternatives=alternatives_for(shape)
                )
                results = measure(entries, QUICK_ROUNDS if flags.quick else ROUNDS, processes)
                report.case({"shape": str(shape), "count": shape.count, "gradient": gradient, "batch": batch}, results)
                rows.append(row_of(shape, results, alternatives_for(shape)))
            report.table(rows, title)
    report.write(flags.out)


if __name__ == "__main__":
    main()
