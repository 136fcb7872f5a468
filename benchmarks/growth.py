"""What a training step costs as its batch, its images, the network's depth, L and the feedback units grow.

python -m benchmarks.growth [--quick] [--out FOLDER]

Each series changes one thing of a small EncapNet; growth.png plots time and memory.
"""

import os

from benchmarks.arguments import parser
from benchmarks.contestant import Contestant, NotRun
from benchmarks.harness import QUICK_ROUNDS, ROUNDS, measure, median
from benchmarks.plots import Panel, draw
from benchmarks.processes import Processes, WorkerFailed
from benchmarks.report import Report
from benchmarks.step_networks import ALONE

BATCH = 32
BASE = {"routing": "master", "depths": (1, 1, 1, 1)}
TINY = {"num_capsules": 2, "input_shape": (8, 8, 3)}
# What is changed -> its values, and (options of EncapNet, batch) of each.
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


def points(values, quick):
    """Contestants of a series, one process each: value -> `Contestant`."""
    factory = "benchmarks.contestants.networks:training_step"
    found = {}
    for value, (options, batch) in list(values.items())[: 2 if quick else None]:
        options = {**BASE, **(TINY if quick else {}), **options}
        arguments = {"builder": "EncapNet", "options": options, "batch": 2 if quick else batch}
        found[value] = Contestant(str(value), factory, arguments, environment=ALONE)
    return found


def measured(contestants, rounds):
    """Times and memory of a series: (results of `measure`, value -> peak bytes or None)."""
    with Processes() as processes:
        results = measure(list(contestants.values()), rounds, processes)
        peaks = {}
        for value, contestant in contestants.items():
            try:
                peaks[value] = processes.ask(contestant, do="peak")["resident"]
            except WorkerFailed:
                peaks[value] = None
    return results, peaks


def panels(drawn):
    """The figure: time above, memory below, one column a series.

    Args:
        drawn: series -> list of (value, seconds, bytes or None), of those that ran.
    """
    above, below = [], []
    for name, found in drawn.items():
        values = [value for value, _, _ in found]
        above.append(Panel(name, "ms a training step", {"": (values, [1e3 * seconds for _, seconds, _ in found])}))
        peaks = [(value, peak / 1e9) for value, _, peak in found if peak is not None]
        below.append(Panel(name, "peak memory, GB", {"": ([value for value, _ in peaks], [peak for _, peak in peaks])}))
    return above, below


def main(arguments=None):
    flags = parser(__doc__).parse_args(arguments)
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    report = Report("growth", f"Growth, {backend}", ABOUT, flags.quick)
    drawn = {}
    for name, values in SERIES.items():
        print(f"{name}: {', '.join(map(str, values))}", flush=True)
        contestants = points(values, flags.quick)
        results, peaks = measured(contestants, QUICK_ROUNDS if flags.quick else ROUNDS)
        report.case({"series": name}, results)
        rows, drawn[name] = [], []
        for value, contestant in contestants.items():
            timing = results[contestant.name]
            if isinstance(timing, NotRun):
                rows.append({name: value, "ms a step": "not run"})
                continue
            batch = contestant.arguments["batch"]
            drawn[name].append((value, median(timing), peaks[value]))
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
    draw(flags.out / "growth.png", panels(drawn))


if __name__ == "__main__":
    main()
