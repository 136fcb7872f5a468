"""Command that runs all CPU benchmarks of run time and memory one after another.

They take under an hour on two cores. With --quick the other benchmarks run too, each in its quick form, and all in one
process: this shows in a few minutes that they run.

python -m benchmarks.all [--quick] [--out FOLDER]
"""

import importlib
import os
import subprocess
import sys
import time

from benchmarks.harness.arguments import RESULTS, argument_parser
from benchmarks.harness.processes import ONE_PROCESS, ROOT

NAMES = ("grouped_conv", "dense_conv", "activation", "step", "sinkhorn", "growth", "routing")
OTHERS = (
    "first_step",
    "gpu",
    "training.batch_statistics",
    "training.fashion_mnist",
    "training.input_pipeline",
    "training.own_images",
)


def run_quickly(name, out):
    """Run the quick form of a benchmark in this process.

    Args:
        name: of a benchmark, as in `NAMES`.
        out: folder for its report.
    """
    os.environ[ONE_PROCESS] = "1"
    try:
        importlib.import_module(f"benchmarks.{name}").main(["--quick", "--out", str(out)])
    finally:
        del os.environ[ONE_PROCESS]


def _runs(name, flags):
    """Run a benchmark, and return whether it succeeded."""
    if not flags.quick:
        out = [] if flags.out.resolve() == RESULTS else ["--out", str(flags.out.resolve())]
        command = [sys.executable, "-m", f"benchmarks.{name}", *out]
        return subprocess.run(command, cwd=ROOT).returncode == 0
    try:
        run_quickly(name, flags.out.resolve())
    except (Exception, SystemExit) as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return False
    return True


def main(arguments=None):
    """Run all CPU benchmarks, and return exit status 0, or 1 if a benchmark failed."""
    flags = argument_parser(__doc__).parse_args(arguments)
    failed = []
    start = time.monotonic()
    for name in NAMES + (OTHERS if flags.quick else ()):
        print(f"== {name}, {(time.monotonic() - start) / 60:.1f} minutes in", flush=True)
        if not _runs(name, flags):
            failed.append(name)
    print(f"== {(time.monotonic() - start) / 60:.1f} minutes" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
