"""Benchmark of several implementations of the grouped convolutions in EncapNet-18.

python -m benchmarks.grouped_conv [--quick] [--out FOLDER]

Forward, and forward + gradient with respect to input and kernel; batch 64, 32 capsules, float32.
"""

from benchmarks.harness.arguments import argument_parser
from benchmarks.harness.contestant import Contestant
from benchmarks.harness.processes import Processes
from benchmarks.harness.report import Report, milliseconds
from benchmarks.harness.timing import QUICK_ROUNDS, ROUNDS, fastest, measure, median, ratio
from benchmarks.workloads.grouped_conv_shapes import shapes

GROUPS = 32
LARGEST_PROGRAM = 300  # products written out in one XLA program; more take minutes to compile
PYTORCH = ("PyTorch NCHW", "PyTorch channels last")
FLOORS = ("copy", "dense matmul")
ABOUT = (
    "ms of one call, medians of interleaved rounds. Keras's contestants run in one plain `tf.function`, as in a "
    "training step; `native` is `keras.layers.Conv2D(groups=32)` as Keras computes it, timed only once because it is "
    "slow. `count`: how often the shape stands in EncapNet-18 (coefficients both, feedback two). `floor`: the longer "
    "of moving the bytes (forward: read x, write y; backward: read x and dy, write dx; at the speed of a copy by all "
    "cores) and computing the products at the speed of a large matrix product. –: does not apply."
)


def lowerings(shape):
    """Return the convolution implementations to time beside this package's grouped convolution, for one layer shape.

    The selection depends on the layer's shape.

    They are name -> (function of `convolution_lowerings`, whether XLA compiles it).
    """
    alternatives = {"block diagonal": ("block_diagonal", False), "depthwise": ("depthwise", False)}
    if shape.transposed:
        return alternatives | {"dense transposed": ("dense_transposed", False)}
    alternatives |= {
        "component-major": ("component_major", False),
        "split": ("split", False),
        "matmul XLA": ("patches_matmul", True),
    }
    if shape.kernel == 1:
        alternatives["matmul"] = ("patches_matmul", False)  # for larger kernels XLA is always faster
    if shape.kernel**2 * shape.dim_in * shape.dim_out <= LARGEST_PROGRAM:
        alternatives["multiply-add XLA"] = ("multiply_add", True)
    return alternatives


def grouped_contestants(shape, gradient, batch):
    """Return descriptions of the grouped-convolution implementations that are benchmarked for one layer shape.

    Keras's convolution is timed once.
    """
    alternatives = {"native": ("native", False), **lowerings(shape)}
    return contestants(shape, gradient=gradient, batch=batch, groups=GROUPS, alternatives=alternatives, slow="native")


def contestants(shape, *, gradient, batch, groups, alternatives, slow=None):
    """Return the benchmarks of all convolution implementations for one layer shape.

    The implementations are the library, its alternatives and PyTorch. There is one process for each framework.

    Args:
        shape: the `Shape`.
        gradient: whether the gradient is computed too.
        batch: number of images.
        groups: number of capsules, or 1 for a dense convolution.
        alternatives: as `lowerings` returns them.
        slow: name of the alternative that is timed once.
    """
    common = {"shape": shape.as_arguments(), "groups": groups, "batch": batch, "gradient": gradient}
    keras = "benchmarks.contestants.keras_layers:convolution"
    torch = "benchmarks.contestants.torch_layers:convolution"
    entries = [Contestant("ours", keras, {"lowering": "ours", **common}, "keras")]
    for name, (lowering, jit) in alternatives.items():
        entries.append(
            Contestant(name, keras, {"lowering": lowering, "jit": jit, **common}, "keras", slow=name == slow)
        )
    for name in PYTORCH:
        memory_format = name.removeprefix("PyTorch ")
        entries.append(Contestant(name, torch, {"memory_format": memory_format, **common}, "torch"))
    x, y = shape.values(groups, batch)
    moves = [("forward", (x + y) // 2)] + ([("backward", (2 * x + y) // 2)] if gradient else [])
    flops = shape.flops(groups, batch) * (3 if gradient else 1)
    return entries + [
        Contestant("copy", "benchmarks.contestants.floors:copy", {"moves": moves}, "copy"),
        Contestant("dense matmul", "benchmarks.contestants.floors:matmul", {"flops": flops}, "keras"),
    ]


def row_of(shape, results, alternatives):
    """Return a table row with the run time of each implementation of one convolution.

    It also has this package's time relative to others: the floor, the fastest alternative and PyTorch.
    """
    times = milliseconds({name: result for name, result in results.items() if name not in FLOORS})
    row = {"shape": str(shape), "role": shape.role, "count": shape.count, **times}
    floors = [median(results[name]) for name in FLOORS]
    if None not in floors:
        row["floor"] = 1e3 * max(floors)
    if isinstance(row["ours"], float):
        row["ours / floor"] = row["ours"] / row["floor"] if "floor" in row else None
    rivals = {"ours / fastest alternative": alternatives, "ours / PyTorch": PYTORCH}
    for title, names in rivals.items():
        best = fastest(results, names)
        ratios = best and ratio(results["ours"], results[best])
        if ratios:
            row[title] = f"{ratios[0]:.2f} ({ratios[1]:.2f} by rounds; {best.removeprefix('PyTorch ')})"
    return row


def add_alternatives_claim(report, title, measurements):
    """Report the largest ratio, over layer shapes, of this package's convolution time to the fastest alternative's.

    That is the shape with the largest ratio. The ratio is a claim.
    """
    worst, shape_and_rival = None, ""
    for shape, results in measurements:
        best = fastest(results, [*lowerings(shape), "native"])
        ratios = best and ratio(results["ours"], results[best])
        if ratios and (worst is None or ratios[0] > worst):
            worst, shape_and_rival = ratios[0], f"{shape}, against {best}"
    text = f"{title}: ours / fastest alternative at the worst shape" + (f" ({shape_and_rival})" if worst else "")
    report.claim(text, worst, 1.15, reason="no alternative ran")


def add_sum_claims(report, title, measurements):
    """Report the ratio of this package's total convolution time to PyTorch's.

    The ratios are claims. Times are summed over shapes. PyTorch's is that of its faster memory layout.
    """
    selections = {
        "the mappings": [m for m in measurements if m[0].role.startswith("mapping")],
        "all shapes": measurements,
    }
    for group, entries in selections.items():
        for how in ("once each", "as often as in EncapNet-18"):
            ours = theirs = 0.0
            for shape, results in entries:
                times = [median(results["ours"]), median(results.get(fastest(results, PYTORCH)))]
                if None in times:
                    ours = None
                    break
                weight = 1 if how == "once each" else shape.count
                ours, theirs = ours + weight * times[0], theirs + weight * times[1]
            text = f"{title}, {group}, {how}: ours / PyTorch"
            if ours is None:
                report.claim(text, None, 1.1, reason="ours or PyTorch did not run at every shape")
            elif entries:
                report.claim(f"{text} ({1e3 * ours:.1f} / {1e3 * theirs:.1f} ms)", ours / theirs, 1.1)


def main(arguments=None, selection=None, batch=64):
    flags = argument_parser(__doc__).parse_args(arguments)
    selection = shapes() if selection is None else selection
    if flags.quick:
        selection, batch = selection[:1], 2
    report = Report("grouped_conv", "Convolutions grouped by capsule", ABOUT, flags.quick)
    with Processes() as processes:
        for gradient in (True, False):
            title = "Forward + gradient" if gradient else "Forward"
            measurements = []
            for shape in selection:
                print(f"{title}: {shape}", flush=True)
                entries = grouped_contestants(shape, gradient, batch)
                results = measure(entries, QUICK_ROUNDS if flags.quick else ROUNDS, processes)
                measurements.append((shape, results))
                report.case({"shape": str(shape), "count": shape.count, "gradient": gradient, "batch": batch}, results)
            report.table(
                [row_of(shape, results, [*lowerings(shape), "native"]) for shape, results in measurements], title
            )
            add_alternatives_claim(report, title, measurements)
            add_sum_claims(report, title, measurements)
    report.write(flags.out)


if __name__ == "__main__":
    main()
