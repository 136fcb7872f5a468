"""Benchmark that compares a fused BatchNorm-ReLU-squash activation with separate operations.

It compares the library's, Keras's and PyTorch's at EncapNet-18's four sizes, beside a memory copy as the floor.

python -m benchmarks.activation [--quick] [--out FOLDER]

In training, forward + gradient with respect to input, gamma and beta, and forward alone; float32.
"""

from benchmarks.harness.arguments import argument_parser
from benchmarks.harness.contestant import Contestant
from benchmarks.harness.processes import Processes
from benchmarks.harness.report import Report, milliseconds
from benchmarks.harness.timing import QUICK_ROUNDS, ROUNDS, fastest, measure, median, ratio

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


def contestants(size, capsule_dim, *, gradient, batch):
    """Return descriptions of the BatchNorm-ReLU-squash implementations that are benchmarked.

    They are those for one image size, and a memory copy as a lower bound on their time.
    """
    common = {
        "size": size, "capsules": CAPSULES, "capsule_dim": capsule_dim, "batch": batch, "gradient": gradient
    }  # fmt: skip
    keras = "benchmarks.contestants.keras_layers:activation"
    torch = "benchmarks.contestants.torch_layers:activation"
    values = batch * size**2 * CAPSULES * capsule_dim
    # The copy of a value moves 8 bytes: read once, written once.
    moves = (
        [("x to y", values), ("dy to dx", values)] * 2 if gradient else [("x to y", values), ("x to y", values // 2)]
    )
    return [
        Contestant("ours", keras, {"layer": "library", **common}, "keras"),
        Contestant("separate operations", keras, {"layer": "separate", **common}, "keras"),
        Contestant("separate XLA", keras, {"layer": "separate", "jit": True, **common}, "keras"),
        *(Contestant(n, torch, {"memory_format": n.removeprefix("PyTorch "), **common}, "torch") for n in PYTORCH),
        Contestant("floor", "benchmarks.contestants.floors:copy", {"moves": moves}, "copy"),
    ]


def row_of(size, capsule_dim, results):
    """Return a table row with the run times of all BatchNorm-ReLU-squash implementations at one image size.

    Ratios are those of the medians (and the medians by rounds).
    """
    row = {"size": f"{size}x{size}x{CAPSULES * capsule_dim}", "capsule_dim": capsule_dim, **milliseconds(results)}
    rivals = {
        "ours / separate": "separate operations",
        "ours / PyTorch": fastest(results, PYTORCH),
        "ours / floor": "floor",
    }
    for title, rival in rivals.items():
        ratios = ratio(results["ours"], results.get(rival))
        row[title] = ratios and f"{ratios[0]:.2f} ({ratios[1]:.2f})"
    return row


def main(arguments=None):
    flags = argument_parser(__doc__).parse_args(arguments)
    sizes, batch = (SIZES[-1:], 2) if flags.quick else (SIZES, 64)
    report = Report("activation", f"BatchNorm-ReLU-squash, batch {batch}", ABOUT, flags.quick)
    with Processes() as processes:
        for gradient in (True, False):
            title = "Forward + gradient" if gradient else "Forward"
            rows = []
            for size, capsule_dim in sizes:
                print(f"{title}: {size}x{size}x{CAPSULES * capsule_dim}", flush=True)
                entries = contestants(size, capsule_dim, gradient=gradient, batch=batch)
                results = measure(entries, QUICK_ROUNDS if flags.quick else ROUNDS, processes)
                report.case({"size": size, "capsule_dim": capsule_dim, "gradient": gradient, "batch": batch}, results)
                rows.append(row_of(size, capsule_dim, results))
                if gradient and (size, capsule_dim) == sizes[0]:
                    add_claim(report, f"{size}x{size}x{CAPSULES * capsule_dim}", results)
            report.table(rows, title)
    report.write(flags.out)


def add_claim(report, size, results):
    """Report the run time of fused BatchNorm, ReLU and squash relative to that of separate operations.

    The limit is 0.5: fusing should at least halve the time. A note on the floor is added too.
    """
    ratios = ratio(results["ours"], results["separate operations"])
    report.claim(
        f"{size}, forward + gradient: ours / separate operations", ratios and ratios[0], 0.5, reason="see below"
    )
    times = [median(results[name]) for name in ("ours", "floor")]
    if None not in times:
        report.note(
            f"{size}, forward + gradient: {times[0] / times[1]:.1f} times the floor of {1e3 * times[1]:.1f} ms."
        )


if __name__ == "__main__":
    main()
