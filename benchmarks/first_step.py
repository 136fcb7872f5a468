"""Benchmark of the time from the start of a process to the end of the first training step.

python -m benchmarks.first_step [--rounds 3] [--jit_compile] [--quick] [--out FOLDER]

Each round runs each network in a new process: `import keras`, a first model, and a second model in the same process
whose feedback units have another weight and epsilon.
"""

import json
import os
import statistics
import subprocess
import sys

from benchmarks.harness.arguments import argument_parser
from benchmarks.harness.processes import QUIET, ROOT
from benchmarks.harness.report import Report

NETWORK = {
    "input_shape": (8, 8, 1),
    "depths": (1, 1),
    "capsule_dims": (4, 8),
    "strides": (1, 2),
    "num_capsules": 16,
}
TINY = {"depths": (0, 0), "num_capsules": 2}  # for --quick
BATCH = 64
OTHER_UNITS = {"weight": 3.0, "epsilon": 0.3}
UNITS = 'feedback "two"'
FIRST_LIMIT, SECOND_LIMIT = 3.5, 2.0
ABOUT = (
    "EncapNet for 8x8x1 images, depths 1 and 1, capsule_dims 4 and 8, 16 capsules, batch 64, float32, Adam, margin "
    "loss, accuracy. A model: building, compiling and `fit` to the end of its first step. The second model of a "
    "process has another weight and epsilon of its units (without units, it is the same again). Ratios are to the time "
    "of `import keras` in the same process; all figures are medians over the rounds. CPU seconds are of all threads of "
    "the process; other work on the machine lengthens them less than wall time. Operations: those of the step's graph "
    "outside of compiled functions, and inside of them."
)


def networks(flags):
    """Return the networks to benchmark, as a dictionary from display name to network and training options."""
    network = {**NETWORK, **(TINY if flags.quick else {})}
    common = {"batch": 8 if flags.quick else BATCH, "compile": {}, "steps": 3 if flags.quick else 50}
    entries = {
        UNITS: {**common, "network": {**network, "feedback": "two"}, "second": OTHER_UNITS},
        "without units": {**common, "network": network, "second": {}},
    }
    if flags.quick:
        del entries["without units"]
    if flags.jit_compile:
        whole = {"compile": {"jit_compile": True}, "second": None, "steps": 0}
        entries |= {f"{name}, jit_compile=True": {**entry, **whole} for name, entry in entries.items()}
    return entries


def run(options):
    """Measure the time to the first training step of a network in a new process, and return the measurements."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.contestants.first_step", json.dumps(options)],
        env={**QUIET, **os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def ratios(results, phase, clock):
    """Return the time to a model's first training step as a multiple of the duration of `import keras`.

    There is one value for each benchmark round.

    Args:
        results: answers of `run`, one a round.
        phase: "first model" or "second model".
        clock: "wall" or "cpu".
    """
    return [r["seconds"][phase][clock] / r["seconds"]["import keras"][clock] for r in results]


def rows(name, results):
    """Return two table rows for a network: one with wall-clock times and one with CPU times."""
    table = []
    for clock, title in (("wall", "s"), ("cpu", "CPU s")):
        row = {"network": name, "unit": title}
        for phase in results[0]["seconds"]:
            row[phase] = statistics.median(r["seconds"][phase][clock] for r in results)
            if phase != "import keras":
                row[f"{phase}, ratio"] = statistics.median(ratios(results, phase, clock))
        table.append(row)
    return table


def main(arguments=None):
    flags = argument_parser(__doc__)
    flags.add_argument("--rounds", type=int, default=3, help="processes of each network")
    flags.add_argument("--jit_compile", action="store_true", help="also compile the whole step with XLA (minutes)")
    flags = flags.parse_args(arguments)
    report = Report("first_step", "Time to the first training step", ABOUT, flags.quick)
    entries = networks(flags)
    results = {name: [] for name in entries}
    for i in range(1 if flags.quick else flags.rounds):
        for name, options in entries.items():
            print(f"round {i + 1}: {name}", flush=True)
            results[name].append(run(options))
    report.table([row for name, answers in results.items() for row in rows(name, answers)], "Seconds")
    report.table([figures(name, answers) for name, answers in results.items()], "The step")
    for phase, limit in (("first model", FIRST_LIMIT), ("second model", SECOND_LIMIT)):
        for clock, title in (("wall", "time"), ("cpu", "CPU time")):
            value = statistics.median(ratios(results[UNITS], phase, clock))
            report.claim(f"{UNITS}: {title} of the {phase} / {title} of `import keras`", value, limit)
    report.extra("rounds", results)
    report.write(flags.out)


def figures(name, results):
    """Return a table row with a network's graph size, peak memory and median duration of a training step.

    The memory is that after the first step.
    """
    first = results[0]
    row = {"network": name}
    row |= {key: first[key] for key in first if key not in ("seconds", "peak memory", "step")}
    row["peak memory, GB"] = statistics.median(r["peak memory"] for r in results) / 1e9
    if "step" in first:
        row["ms a step"] = 1e3 * statistics.median(r["step"] for r in results)
    return row


if __name__ == "__main__":
    main()
