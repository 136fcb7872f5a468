"""Every grouped convolution of EncapNet-18: the library's, Keras's own, each alternative, PyTorch's.

python -m benchmarks.grouped_conv [--quick] [--out FOLDER]

Forward, and forward + gradient with respect to input and kernel; batch 64, 32 capsules, float32.
"""

from benchmarks.arguments import parser
from benchmarks.contestant import Contestant
from benchmarks.grouped_conv_shapes import shapes
from benchmarks.harness import QUICK_ROUNDS, ROUNDS, fastest, measure, median, ratio
from benchmarks.processes import Processes
from benchmarks.report import Report, milliseconds

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
    """The alternatives worth timing for a shape: name -> (function of `convolution_lowerings`, whether under XLA)."""
    found = {"block diagonal": ("block_diagonal", False), "depthwise": ("depthwise", False)}
    if shape.transposed:
        return found | {"dense transposed": ("dense_transposed", False)}
    found |= {
        "component-major": ("component_major", False),
        "split": ("split", False),
        "matmul XLA": ("patches_matmul", True),
    }
    if shape.kernel == 1:
        found["matmul"] = ("patches_matmul", False)  # with patches to be built it is only slower than under XLA
    if shape.kernel**2 * shape.dim_in * shape.dim_out <= LARGEST_PROGRAM:
        found["multiply-add XLA"] = ("multiply_add", True)
    return found


def grouped_contestants(shape, gradient, batch):
    """Everyone who computes a convolution grouped by capsule; Keras's own is timed once."""
    return contestants(shape, gradient, batch, GROUPS, {"native": ("native", False), **lowerings(shape)}, slow="native")


def contestants(shape, gradient, batch, groups, alternatives, slow=None):
    """The library, its alternatives, PyTorch, and the floors; the frameworks each have a process of their own."""
    common = {"shape": shape.as_arguments(), "groups": groups, "batch": batch, "gradient": gradient}
    keras = "benchmarks.contestants.grouped_convolution:keras_convolution"
    torch = "benchmarks.contestants.torch_convolution:torch_convolution"
    found = [Contestant("ours", keras, {"lowering": "ours", **common}, "keras")]
    for name, (lowering, jit) in alternatives.items():
        found.append(Contestant(name, keras, {"lowering": lowering, "jit": jit, **common}, "keras", slow=name == slow))
    for name in PYTORCH:
        memory_format = name.removeprefix("PyTorch ")
        found.append(Contestant(name, torch, {"memory_format": memory_format, **common}, "torch"))
    x, y = shape.values(groups, batch)
    moves = [("forward", (x + y) // 2)] + ([("backward", (2 * x + y) // 2)] if gradient else [])
    flops = shape.flops(groups, batch) * (3 if gradient else 1)
    return found + [
        Contestant("copy", "benchmarks.contestants.copy:copy", {"moves": moves}, "copy"),
        Contestant("dense matmul", "benchmarks.contestants.matmul:matmul", {"flops": flops}, "keras"),
    ]


def row_of(shape, results, alternatives):
    """A table row: times, the floor, and how far the library is from floor and rivals."""
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
        found = best and ratio(results["ours"], results[best])
        if found:
            row[title] = f"{found[0]:.2f} ({found[1]:.2f} by rounds; {best.removeprefix('PyTorch ')})"
    return row


def alternatives_claim(report, title, measured):
    """The library against the fastest alternative, at its worst shape."""
    worst, where = None, ""
    for shape, results in measured:
        best = fastest(results, [*lowerings(shape), "native"])
        found = best and ratio(results["ours"], results[best])
        if found and (worst is None or found[0] > worst):
            worst, where = found[0], f"{shape}, against {best}"
    text = f"{title}: ours / fastest alternative at the worst shape" + (f" ({where})" if where else "")
    report.claim(text, worst, 1.15, reason="no alternative ran")


def sum_claims(report, title, measured):
    """The library against PyTorch (the better of its layouts at every shape), summed over shapes."""
    selections = {"the mappings": [m for m in measured if m[0].role.startswith("mapping")], "all shapes": measured}
    for selected, chosen in selections.items():
        for how in ("once each", "as often as in EncapNet-18"):
            ours = theirs = 0.0
            for shape, results in chosen:
                times = [median(results["ours"]), median(results.get(fastest(results, PYTORCH)))]
                if None in times:
                    ours = None
                    break
                weight = 1 if how == "once each" else shape.count
                ours, theirs = ours + weight * times[0], theirs + weight * times[1]
            text = f"{title}, {selected}, {how}: ours / PyTorch"
            if ours is None:
                report.claim(text, None, 1.1, reason="ours or PyTorch did not run at every shape")
            elif chosen:
                report.claim(f"{text} ({1e3 * ours:.1f} / {1e3 * theirs:.1f} ms)", ours / theirs, 1.1)


def main(arguments=None, chosen=None, batch=64):
    flags = parser(__doc__).parse_args(arguments)
    chosen = shapes() if chosen is None else chosen
    if flags.quick:
        chosen, batch = chosen[:1], 2
    report = Report("grouped_conv", "Convolutions grouped by capsule", ABOUT, flags.quick)
    with Processes() as processes:
        for gradient in (True, False):
            title = "Forward + gradient" if gradient else "Forward"
            measured = []
            for shape in chosen:
                print(f"{title}: {shape}", flush=True)
                entries = grouped_contestants(shape, gradient, batch)
                results = measure(entries, QUICK_ROUNDS if flags.quick else ROUNDS, processes)
                measured.append((shape, results))
                report.case({"shape": str(shape), "count": shape.count, "gradient": gradient, "batch": batch}, results)
            report.table([row_of(shape, results, [*lowerings(shape), "native"]) for shape, results in measured], title)
            alternatives_claim(report, title, measured)
            sum_claims(report, title, measured)
    report.write(flags.out)


if __name__ == "__main__":
    main()
