"""Benchmark of training time and memory as functions of batch size, image size, depth and other settings.

The others are L, the number of Sinkhorn iterations, and the number of feedback units.

python -m benchmarks.growth [--quick] [--out FOLDER]

Each series varies one setting of a small EncapNet; growth.png plots time and memory.
"""

import os

from benchmarks.harness.arguments import argument_parser
from benchmarks.harness.contestant import Contestant, NotRun
from benchmarks.harness.plots import Panel, draw
from benchmarks.harness.processes import Processes, WorkerFailed
from benchmarks.harness.report import Report
from benchmarks.harness.timing import QUICK_ROUNDS, ROUNDS, measure, median
from benchmarks.workloads.step_networks import ENVIRONMENT

BATCH = 32
BASE = {"routing": "master", "depths": (1, 1, 1, 1)}
TINY = {"num_capsules": 2, "depths": (0, 0), "capsule_dims": (1, 2), "strides": (1, 2), "input_shape": (8, 8, 3)}
# Setting -> its values -> (options of EncapNet, batch).
SERIES = {
    "images in a batch": {n: ({}, n) for n in (8, 32, 64, 128)},
    "pixels a side": {n: ({"input_shape": (n, n, 3)}, BATCH) for n in (16, 32, 48, 64)},
    "layers": {2 + 4 * (n + 1): ({"depths": (n,) * 4}, BATCH) for n in (0, 1, 3, 6)},
    "L, Sinkhorn iterations": {
        n: ({"feedback": "two", "feedback_options": {"iterations": n}}, BATCH) for n in (1, 10, 30, 100)
    },
    "feedback units": {units: ({"feedback": kind}, BATCH) for units, kind in ((0, None), (4, "half"), (8, "two"))},
}
ABOUT = (
    "Training steps of EncapNet with one type II layer a module, master routing, 32x32x3 images, batch 32, where the "
    "series does not say otherwise; medians of rounds interleaved within a series. Memory: peak resident size of the "
    "process that was timed, the framework's own included."
)


def contestants_of(values, quick):
    """Return one training-step benchmark for each value of a setting, such as the batch size.

    They are value -> `Contestant`, one process each.
    """
    factory = "benchmarks.contestants.networks:training_step"
    contestants = {}
    for value, (options, batch) in list(values.items())[: 1 if quick else None]:
        options = {**BASE, **options, **(TINY if quick else {})}
        arguments = {"builder": "EncapNet", "options": options, "batch": 2 if quick else batch}
        contestants[value] = Contestant(str(value), factory, arguments, environment=ENVIRONMENT)
    return contestants


def measure_series(contestants, rounds):
    """Measure the time and peak memory of training steps that differ in one setting, such as the batch size.

    Return (results of `measure`, value -> bytes or None).
    """
    with Processes() as processes:
        results = measure(list(contestants.values()), rounds, processes)
        peaks = {}
        for value, contestant in contestants.items():
            try:
                peaks[value] = processes.request(contestant, do="peak")["resident"]
            except WorkerFailed:
                peaks[value] = None
    return results, peaks


def panels(series):
    """Return plots of training time and memory against settings such as the batch size.

    There is one column for each varied setting.

    Args:
        series: name -> list of (value, seconds, bytes or None) of the contestants that ran.
    """
    above, below = [], []
    for name, points in series.items():
        values = [value for value, _, _ in points]
        above.append(Panel(name, "ms a training step", {"": (values, [1e3 * seconds for _, seconds, _ in points])}))
        peaks = [(value, peak / 1e9) for value, _, peak in points if peak is not None]
        below.append(Panel(name, "peak memory, GB", {"": ([value for value, _ in peaks], [peak for _, peak in peaks])}))
    return above, below


def main(arguments=None):
    flags = argument_parser(__doc__).parse_args(arguments)
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    report = Report("growth", f"Growth, {backend}", ABOUT, flags.quick)
    points = {}
    for name, values in SERIES.items():
        print(f"{name}: {', '.join(map(str, values))}", flush=True)
        contestants = contestants_of(values, flags.quick)
        results, peaks = measure_series(contestants, QUICK_ROUNDS if flags.quick else ROUNDS)
        report.case({"series": name}, results)
        rows, points[name] = [], []
        for value, contestant in contestants.items():
            timing = results[contestant.name]
            if isinstance(timing, NotRun):
                rows.append({name: value, "ms a step": "not run"})
                continue
            batch = contestant.arguments["batch"]
            points[name].append((value, median(timing), peaks[value]))
            rows.append(
                {
                    name: value,
                    "ms a step": 1e3 * median(timing),
                    "images/s": batch / median(timing),
                    "peak memory, GB": "not run" if peaks[value] is None else peaks[value] / 1e9,
                }
            )
        report.table(rows, name)
    report.note("![time and memory](growth.png)")
    report.write(flags.out)
    draw(flags.out / "growth.png", panels(points))


if __name__ == "__main__":
    main()
