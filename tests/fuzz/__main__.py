"""Table of the fuzz tests, printed as Markdown: `python -m tests.fuzz [SEED ...]`."""

import sys
import time

from tests.fuzz.kinds import KINDS


def main(seeds: list[int]) -> None:
    """Try all kinds of wrong input for each seed, and print a row for each kind; problems go to standard error."""
    print("| wrong input | cases of each seed | " + " | ".join(f"seed {seed}" for seed in seeds) + " | seconds |")
    print("| --- " * (len(seeds) + 3) + "|")
    for kind in KINDS.values():
        start, cells = time.perf_counter(), []
        for seed in seeds:
            problems = kind.problems(seed, kind.many)
            print("\n".join(problems), end="\n" if problems else "", file=sys.stderr)
            cells.append(f"{len(problems)} problems" if problems else "handled")
        print(f"| {kind.title} | {kind.many:,} | {' | '.join(cells)} | {time.perf_counter() - start:.0f} |", flush=True)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [1, 2, 3])
