"""The Sinkhorn divergence beside OTT-JAX, GeomLoss and POT, at equal epsilon: at equal iterations and equal accuracy.

python -m benchmarks.sinkhorn [--sizes 32,128,512] [--dtype float32|bfloat16] [--quick] [--out FOLDER]

Contestants that are not installed are reported so; without TensorFlow it compares what runs on JAX. Files are named
after what differs from the defaults: sinkhorn.json, sinkhorn_bfloat16_128_1024.json, ...
"""

from dataclasses import replace

from benchmarks.arguments import integers, parser
from benchmarks.contestant import Contestant, Timing
from benchmarks.harness import QUICK_ROUNDS, ROUNDS, fastest, measure, median, ratio
from benchmarks.processes import Processes
from benchmarks.report import Report, milliseconds

SIZES, DIMS, ITERATIONS = (32, 128, 512), (16, 64), (10, 50)
TENSORFLOW, JAX = {"KERAS_BACKEND": "tensorflow"}, {"KERAS_BACKEND": "jax"}
OTHERS = ("OTT-JAX", "OTT-JAX log", "GeomLoss", "GeomLoss loop", "POT", "POT log")
FASTER = {
    (10, 16): 4,
    (50, 16): 10,
    (10, 64): 3,
    (50, 64): 8,
}  # at 128 points: (L, d) -> times as fast as the best other
LIMITS_FOR = 128  # points
ROUNDING = 1e-5  # gradient error below which float32 does not tell solvers apart
FEWER, MORE = (2, 3, 5, 7), (2, 4, 8, 16, 32)  # our iterations, and factors of the others', that equal accuracy tries
ABOUT = (
    "µs of one call, medians of interleaved rounds; B points of d features in each of two sets, squared Euclidean cost "
    "of mean 1, epsilon 0.1, exactly L iterations, the dual value (the libraries give half of ours). Value and "
    "gradient with respect to both sets come from one call; ours, OTT-JAX's and the floor are compiled as a whole. "
    "`floor`: three cost matrices and one exp, with their gradient. `GeomLoss`: annealed over L steps; "
    "`GeomLoss loop`: L steps at one epsilon. `log`: on potentials instead of scalings. Errors are relative, against a "
    "converged solution in float64. Our solver is more accurate than others at equal L, so equal accuracy is shown in "
    "both directions: the others with as many iterations (L times 2, 4, ... 32 at most) as bring their gradient to our "
    "error (or to 1e-5, about float32's rounding), and ours with as few as keep the error of the fastest other."
)


def contestants(size, dim, iterations, gradient, dtype):
    """Everyone who computes a divergence; the frameworks each have a process of their own."""
    module = "benchmarks.contestants.sinkhorn_"
    points = {"size": size, "dim": dim, "gradient": gradient}
    problem = {**points, "iterations": iterations}

    def entry(name, factory, worker, environment=None, **arguments):
        return Contestant(name, module + factory, arguments, worker, environment or {})

    return [
        entry("ours", "keras:ours", "tensorflow", TENSORFLOW, dtype=dtype, **problem),
        entry("ours JAX", "keras:ours", "jax", JAX, dtype=dtype, **problem),
        entry("OTT-JAX", "ott:ott", "jax", JAX, log_domain=False, **problem),
        entry("OTT-JAX log", "ott:ott", "jax", JAX, log_domain=True, **problem),
        entry("GeomLoss", "torch:geomloss_annealed", "torch", **problem),
        entry("GeomLoss loop", "torch:geomloss_loop", "torch", **problem),
        entry("POT", "torch:pot", "torch", log_domain=False, **problem),
        entry("POT log", "torch:pot", "torch", log_domain=True, **problem),
        entry("floor", "keras:floor", "tensorflow", TENSORFLOW, dtype=dtype, **points),
        entry("floor JAX", "keras:floor", "jax", JAX, dtype=dtype, **points),
    ]


def compared(results, ours, floor):
    """(best of the others, ratio best / ours, ratio ours / floor); what cannot be computed is None.

    The best is the fastest of those whose figures are numbers, though less accurate ones are among them.
    """
    finite = [n for n in OTHERS if isinstance(results[n], Timing) and None not in results[n].facts.values()]
    best = fastest(results, finite)
    faster, slower = ratio(results[best], results[ours]) if best else None, ratio(results[ours], results[floor])
    return best, faster and faster[0], slower and slower[0]


def time_row(where, results):
    row = {**where, **{name: 1e3 * t if isinstance(t, float) else t for name, t in milliseconds(results).items()}}
    for ours, floor in (("ours", "floor"), ("ours JAX", "floor JAX")):
        best, faster, slower = compared(results, ours, floor)
        row[f"best other / {ours}"] = faster and f"{faster:.1f} ({best})"
        row[f"{ours} / {floor}"] = slower
    return row


def error_row(where, results):
    def text(result):
        if not isinstance(result, Timing):
            return "not run"
        errors = [v for name, v in result.facts.items() if name.endswith("error")]
        return " / ".join("not a number" if e is None else f"{e:.0e}" for e in errors)

    return {**where, **{name: text(result) for name, result in results.items() if "floor" not in name}}


def error_of(results, name):
    """Relative error of a contestant's gradient."""
    return results[name].facts["gradient error"]


def as_accurate(entry, target, steps):
    """A contestant with the fewest of some numbers of iterations that bring its gradient error to the target."""
    arguments = {name: value for name, value in entry.arguments.items() if name != "iterations"}
    arguments |= {"factory": entry.factory, "target": target, "steps": list(steps)}
    return replace(entry, factory="benchmarks.contestants.sinkhorn_accuracy:as_accurate", arguments=arguments)


def reached(results, names):
    """Those of the contestants that ran and came to the accuracy they were asked for."""
    return [n for n in names if isinstance(results.get(n), Timing) and results[n].facts["reached"]]


def equal_accuracy(report, where, entries, results, rounds, processes):
    """Times both directions of equal accuracy.

    Returns:
        The row of their table, and how many times as fast as the best other ours is with everybody at our accuracy (or
        None).
    """
    iterations, named = where["L"], {entry.name: entry for entry in entries}
    best, faster, _ = compared(results, "ours", "floor")
    if best is None or not isinstance(results["ours"], Timing) or error_of(results, "ours") is None:
        return {**where, "best other": "not run"}, None
    target = max(error_of(results, "ours"), ROUNDING)
    others = [as_accurate(named[n], target, [iterations, *(iterations * k for k in MORE)]) for n in OTHERS]
    found = measure([named["ours"], *others], rounds, processes)
    report.case({**where, "gradient error of all": target}, found)
    winner = fastest(found, reached(found, OTHERS))
    gain = ratio(found[winner], found["ours"])[0] if winner else None
    target = max(error_of(results, best), ROUNDING)
    few = as_accurate(named["ours"], target, [n for n in FEWER if n < iterations] + [iterations])
    found_few = measure([few, named[best]], rounds, processes)
    report.case({**where, "gradient error of all": target}, found_few)
    few_gain = ratio(found_few[best], found_few["ours"]) if reached(found_few, ["ours"]) else None
    row = {
        **where,
        "best other": best,
        "its error": f"{error_of(results, best):.0e}",
        "our error": f"{error_of(results, 'ours'):.0e}",
        "at equal L": faster,
        "best at our error": winner and f"{winner}, L {found[winner].facts['iterations']}",
        "its µs": winner and 1e6 * median(found[winner]),
        "all at our error": gain,
        "our L for its error": few_gain and found_few["ours"].facts["iterations"],
        "both at its error": few_gain and few_gain[0],
    }
    return row, gain


def claims(report, where, results, gain):
    """Speed at 128 points, where the limits are for."""
    best, faster, slower = compared(results, "ours", "floor")
    text = f"forward + gradient, B {where['B']}, d {where['d']}, L {where['L']}"
    reason = "ours or all others did not run, or none came to our accuracy"
    limit = FASTER[where["L"], where["d"]]
    suffix = f" ({best})" if best else ""
    report.claim(f"{text}: best other{suffix} / ours, equal L", faster, limit, at_least=True, reason=reason)
    report.claim(f"{text}: best other / ours, equal accuracy", gain, limit, at_least=True, reason=reason)
    report.claim(f"{text}: ours / floor", slower, 1.6, reason=reason)


def main(arguments=None):
    flags = parser(__doc__)
    flags.add_argument("--sizes", default=SIZES, type=integers, metavar="B,B", help="points of a set (32,128,512)")
    flags.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="of our points")
    flags = flags.parse_args(arguments)
    parts = ["sinkhorn"] + ([flags.dtype] if flags.dtype != "float32" else [])
    parts += [str(n) for n in flags.sizes] if flags.sizes != SIZES else []
    cases = [(b, d, n) for b in flags.sizes for d in DIMS for n in ITERATIONS]
    cases = [(16, 4, 10)] if flags.quick else cases
    report = Report("_".join(parts), f"Sinkhorn divergence, {flags.dtype}", ABOUT, flags.quick)
    rounds = QUICK_ROUNDS if flags.quick else ROUNDS
    with Processes() as processes:
        for gradient in (True, False):
            title = "Forward + gradient" if gradient else "Forward"
            times, errors, accurate = [], [], []
            for size, dim, iterations in cases:
                where = {"B": size, "d": dim, "L": iterations}
                print(f"{title}: {where}", flush=True)
                entries = contestants(size, dim, iterations, gradient, flags.dtype)
                results = measure(entries, rounds, processes)
                report.case({**where, "gradient": gradient}, results)
                times.append(time_row(where, results))
                errors.append(error_row(where, results))
                if gradient and (size == LIMITS_FOR or flags.quick):
                    row, gain = equal_accuracy(report, where, entries, results, rounds, processes)
                    accurate.append(row)
                    if size == LIMITS_FOR:
                        claims(report, where, results, gain)
            report.table(times, f"{title}, µs")
            report.table(errors, f"{title}: relative error of the value{' / of the gradient' if gradient else ''}")
            report.table(accurate, f"{title}: time of the best other / ours, at equal L and at equal accuracy")
    report.write(flags.out)


if __name__ == "__main__":
    main()
