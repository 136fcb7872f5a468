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
ACCURACY = 1e-5  # of the gradient, for equal accuracy: about the least that float32 lets everybody reach
STEPS = (2, 3, 5, 10, 20, 50, 100, 200, 500)  # iterations that equal accuracy tries
ABOUT = (
    "µs of one call, medians of interleaved rounds; B points of d features in each of two sets, squared Euclidean cost "
    "of mean 1, epsilon 0.1, L iterations, the dual value (the libraries give half of ours). Ours makes at most L: it "
    "ends where no potential moves any more; the others are kept at L. Value and gradient with respect to both sets "
    "come from one call; ours, OTT-JAX's and the floor are compiled as a whole. "
    "`floor`: three cost matrices and one exp, with their gradient. `GeomLoss`: annealed over L steps; "
    "`GeomLoss loop`: L steps at one epsilon. `log`: on potentials instead of scalings. Errors are relative, against a "
    "converged solution in float64. At equal L solvers may differ much in accuracy, so the last table "
    "gives everybody, ours too, the fewest iterations (of 2, 3, 5, 10, 20, ... 500) that bring the gradient's error "
    "to 1e-5."
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


def as_accurate(entry):
    """A contestant with the fewest iterations that bring its gradient's error to `ACCURACY`."""
    arguments = {name: value for name, value in entry.arguments.items() if name != "iterations"}
    arguments |= {"factory": entry.factory, "target": ACCURACY, "steps": list(STEPS)}
    return replace(entry, factory="benchmarks.contestants.sinkhorn_accuracy:as_accurate", arguments=arguments)


def equal_accuracy(report, where, dtype, rounds, processes):
    """Times everybody at one accuracy, and claims our speed there.

    Args:
        where: {"B", "d"} of the problem.

    Returns:
        Row of the table: µs and iterations, or why there are none.
    """
    entries = contestants(where["B"], where["d"], STEPS[0], True, dtype)
    results = measure([as_accurate(entry) for entry in entries if "floor" not in entry.name], rounds, processes)
    report.case({**where, "gradient error": ACCURACY}, results)
    ran = {name: result for name, result in results.items() if isinstance(result, Timing)}
    fit = {name: result for name, result in ran.items() if result.facts["reached"]}
    best = fastest(fit, OTHERS)
    gains = {name: ratio(fit[best], fit[name])[0] for name in ("ours", "ours JAX") if best and name in fit}
    text = f"forward + gradient, B {where['B']}, d {where['d']}, all to a gradient error of {ACCURACY:g}"
    reason = "ours or all others did not run or did not come so far"
    limit = FASTER.get((10, where["d"]), 1)
    report.claim(f"{text}: best other ({best}) / ours", gains.get("ours"), limit, at_least=True, reason=reason)
    cells = {name: f"{1e6 * median(result):.0f} (L {result.facts['iterations']})" for name, result in fit.items()}
    cells = {name: cells.get(name, "not reached" if name in ran else "not run") for name in results}
    return {**where, **cells, **{f"best other / {name}": f"{gain:.1f} ({best})" for name, gain in gains.items()}}


def claims(report, where, results):
    """Speed at 128 points, where the limits are for."""
    best, faster, slower = compared(results, "ours", "floor")
    text = f"forward + gradient, B {where['B']}, d {where['d']}, L {where['L']}"
    reason = "ours or all others did not run"
    limit = FASTER[where["L"], where["d"]]
    suffix = f" ({best})" if best else ""
    report.claim(f"{text}: best other{suffix} / ours, at equal L", faster, limit, at_least=True, reason=reason)
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
            times, errors = [], []
            for size, dim, iterations in cases:
                where = {"B": size, "d": dim, "L": iterations}
                print(f"{title}: {where}", flush=True)
                entries = contestants(size, dim, iterations, gradient, flags.dtype)
                results = measure(entries, rounds, processes)
                report.case({**where, "gradient": gradient}, results)
                times.append(time_row(where, results))
                errors.append(error_row(where, results))
                if gradient and size == LIMITS_FOR:
                    claims(report, where, results)
            report.table(times, f"{title}, µs")
            report.table(errors, f"{title}: relative error of the value{' / of the gradient' if gradient else ''}")
        problems = dict.fromkeys((b, d) for b, d, _ in cases if b == LIMITS_FOR or flags.quick)
        rows = [equal_accuracy(report, {"B": b, "d": d}, flags.dtype, rounds, processes) for b, d in problems]
        report.table(rows, f"Forward + gradient to an error of {ACCURACY:g}, µs (L that it takes)")
    report.write(flags.out)


if __name__ == "__main__":
    main()
