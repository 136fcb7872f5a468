"""BatchNorm-ReLU-squash at EncapNet-18's four sizes: the library's, the operations one by one, PyTorch's, the floor.

python -m benchmarks.activation [--quick] [--out FOLDER]

In training, forward + gradient with respect to input, gamma and beta, and forward alone; float32.
"""

from benchmarks.arguments import parser
from benchmarks.contestant import Contestant
from benchmarks.harness import QUICK_ROUNDS, ROUNDS, fastest, measure, median, ratio
from benchmarks.processes import Processes
from benchmarks.report import Report, milliseconds

CAPSULES = 32
SIZES = ((32, 2), (16, 4), (8, 8), (4, 16))  # pixels a side, capsule_dim
PYTORCH = ("PyTorch NCHW", "PyTorch channels last")
ABOUT = (
    "ms of one call in training mode, medians of interleaved rounds. `separate operations`: Keras's "
    "BatchNormalization, relu and a plain squash in one plain `tf.function`, as `model.fit` runs them by default on a "
    "CPU. `floor`: a copy, by all cores, of the bytes that a fused pass has to move: forward it reads x twice "
    "(statistics, then values) and writes y; backward it reads x and dy twice (sums, then values) and writes dx. With "
    "N values of 4 bytes that is 12 N bytes forward, 32 N with the gradient. Ratios: of the medians (median of the "
    "rounds' ratios)."
)


def contestants(size, capsule_dim, gradient, batch):
    """Everyone who computes a size."""
    common = {
        "size": size, "capsules": CAPSULES, "capsule_dim": capsule_dim, "batch": batch, "gradient": gradient
    }  # fmt: skip
    keras = "benchmarks.contestants.activations:keras_activation"
    torch = "benchmarks.contestants.torch_activation:torch_activation"
    values = batch * size**2 * CAPSULES * capsule_dim
    # A value moved is 8 bytes: read once, written once.
    moves = (
        [("x to y", values), ("dy to dx", values)] * 2 if gradient else [("x to y", values), ("x to y", values // 2)]
    )
    return [
        Contestant("ours", keras, {"layer": "library", **common}, "keras"),
        Contestant("separate operations", keras, {"layer": "separate", **common}, "keras"),
        Contestant("separate XLA", keras, {"layer": "separate", "jit": True, **common}, "keras"),
        *(Contestant(n, torch, {"memory_format": n.removeprefix("PyTorch "), **common}, "torch") for n in PYTORCH),
        Contestant("floor", "benchmarks.contestants.copy:copy", {"moves": moves}, "copy"),
    ]


def row_of(size, capsule_dim, results):
    """A table row: times, and the library's ratios to everybody else, of the medians (and by rounds)."""
    row = {"size": f"{size}x{size}x{CAPSULES * capsule_dim}", "capsule_dim": capsule_dim, **milliseconds(results)}
    rivals = {
        "ours / separate": "separate operations",
        "ours / PyTorch": fastest(results, PYTORCH),
        "ours / floor": "floor",
    }
    for title, rival in rivals.items():
        found = ratio(results["ours"], results.get(rival))
        row[title] = found and f"{found[0]:.2f} ({found[1]:.2f})"
    return row


def main(arguments=None):
    flags = parser(__doc__).parse_args(arguments)
    sizes, batch = (SIZES[-1:], 2) if flags.quick else (SIZES, 64)
    report = Report("activation", f"BatchNorm-ReLU-squash, batch {batch}", ABOUT, flags.quick)
    with Processes() as processes:
        for gradient in (True, False):
            title = "Forward + gradient" if gradient else "Forward"
            rows = []
            for size, capsule_dim in sizes:
                print(f"{title}: {size}x{size}x{CAPSULES * capsule_dim}", flush=True)
                entries = contestants(size, capsule_dim, gradient, batch)
                results = measure(entries, QUICK_ROUNDS if flags.quick else ROUNDS, processes)
                report.case({"size": size, "capsule_dim": capsule_dim, "gradient": gradient, "batch": batch}, results)
                rows.append(row_of(size, capsule_dim, results))
                if gradient and (size, capsule_dim) == sizes[0]:
                    claim(report, f"{size}x{size}x{CAPSULES * capsule_dim}", results)
            report.table(rows, title)
    report.write(flags.out)


def claim(report, where, results):
    """At the largest size, at most half of the separate operations' time; the floor beside it."""
    found = ratio(results["ours"], results["separate operations"])
    report.claim(
        f"{where}, forward + gradient: ours / separate operations", found and found[0], 0.5, reason="see below"
    )
    times = [median(results[name]) for name in ("ours", "floor")]
    if None not in times:
        report.note(
            f"{where}, forward + gradient: {times[0] / times[1]:.1f} times the floor of {1e3 * times[1]:.1f} ms."
        )


if __name__ == "__main__":
    main()
