"""Command that runs all CPU benchmarks one after another.

They take under an hour on two cores.

python -m benchmarks.all [--quick] [--out FOLDER]
"""

import subprocess
import sys
import time

from benchmarks.harness.arguments import argument_parser
from benchmarks.harness.processes import ROOT

NAMES = ("grouped_conv", "dense_conv", "activation", "step", "sinkhorn", "growth", "routing")


def main(arguments=None):
    """Run all CPU benchmarks, and return exit status 0, or 1 if a benchmark failed."""
    flags = argument_parser(__doc__).parse_args(arguments)
    failed = []
    start = time.monotonic()
    for name in NAMES:
        print(f"== {name}, {(time.monotonic() - start) / 60:.1f} minutes in", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", "--out", str(flags.out.resolve())]
        if subprocess.run(command + ["--quick"] * flags.quick, cwd=ROOT).returncode:
            failed.append(name)
    print(f"== {(time.monotonic() - start) / 60:.1f} minutes" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
