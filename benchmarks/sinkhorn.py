"""Benchmark of this package's Sinkhorn divergence, compared with OTT-JAX, GeomLoss and POT.

They are compared at equal iterations and at equal accuracy.

python -m benchmarks.sinkhorn [--sizes 32,128,512] [--dtype float32|bfloat16] [--quick] [--out FOLDER]

Contestants that are not installed are reported as not run; without TensorFlow it compares those on JAX. Names of files
contain the flags that differ from the defaults: sinkhorn.json, sinkhorn_bfloat16_128_1024.json, ...
"""

from dataclasses import replace

from benchmarks.harness.arguments import argument_parser, integers
from benchmarks.harness.contestant import Contestant, Timing
from benchmarks.harness.processes import Processes
from benchmarks.harness.report import Report, milliseconds
from benchmarks.harness.timing import QUICK_ROUNDS, ROUNDS, fastest, measure, median, ratio

SIZES, DIMS, ITERATIONS = (32, 128, 512), (16, 64), (10, 50)
TENSORFLOW, JAX = {"KERAS_BACKEND": "tensorflow"}, {"KERAS_BACKEND": "jax"}
OTHERS = ("OTT-JAX", "OTT-JAX log", "GeomLoss", "GeomLoss loop", "POT", "POT log")
# (L, d) -> least speed at 128 points, in multiples of the fastest other library's.
SPEED_UPS = {(10, 16): 4, (50, 16): 10, (10, 64): 3, (50, 64): 8}
POINTS_OF_CLAIMS = 128
ACCURACY = 1e-5  # gradient error at equal accuracy: about the smallest that all reach in float32
STEPS = (2, 3, 5, 10, 20, 50, 100, 200, 500)  # numbers of iterations tried for equal accuracy
ABOUT = (
    "µs of one call, medians of interleaved rounds; B points of d features in each of two sets, squared Euclidean cost "
    "of mean 1, epsilon 0.1, L iterations, the dual value (the libraries give half of ours). Ours makes at most L: it "
    "ends where no potential moves any more; the others are kept at L. Value and gradient with respect to both sets "
    "come from one call; ours, OTT-JAX's and the floor are compiled as a whole. "
    "`floor`: three cost matrices and one exp, with their gradient; `floor + products`: also three kernels and the 42 "
    "products of a kernel and a vector in ten iterations of the three problems. `GeomLoss`: annealed over L steps; "
    "`GeomLoss loop`: L steps at one epsilon. `log`: on potentials instead of scalings. Errors are relative, against a "
    "converged solution in float64. At equal L solvers may differ much in accuracy, so the last table "
    "gives everybody, ours too, the fewest iterations (of 2, 3, 5, 10, 20, ... 500) that bring the gradient's error "
    "to 1e-5."
)


def contestants(*, size, dim, iterations, gradient, dtype):
    """Return the name, function and arguments of each Sinkhorn solver to benchmark.

    Two computations are added whose time is a lower bound on that of any solver.

    All are `Contestant`s, in one process for each framework.
    """
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
        entry("floor + products", "keras:floor_and_products", "tensorflow", TENSORFLOW, dtype=dtype, **points),
    ]


def compare(results, ours, floor):
    """Return the speed-up of this package's Sinkhorn divergence over the fastest other library.

    Return (name of the best other library, ratio best / ours, ratio ours / floor), None where not computable.

    The best is the fastest whose errors are finite, whatever their size.
    """
    finite = [n for n in OTHERS if isinstance(results[n], Timing) and None not in results[n].facts.values()]
    best = fastest(results, finite)
    speed_up, overhead = ratio(results[best], results[ours]) if best else None, ratio(results[ours], results[floor])
    return best, speed_up and speed_up[0], overhead and overhead[0]


def time_row(problem, results):
    """Return a table row with the run time of every benchmarked Sinkhorn solver on one test problem.

    It also has this package's time relative to others: the best other library and the floor.
    """
    row = {**problem, **{name: 1e3 * t if isinstance(t, float) else t for name, t in milliseconds(results).items()}}
    for ours, floor in (("ours", "floor"), ("ours JAX", "floor JAX")):
        best, speed_up, overhead = compare(results, ours, floor)
        row[f"best other / {ours}"] = speed_up and f"{speed_up:.1f} ({best})"
        row[f"{ours} / {floor}"] = overhead
    row["ours / (floor + products)"] = compare(results, "ours", "floor + products")[2]
    return row


def error_row(problem, results):
    """Return a table row with the numerical error of every benchmarked Sinkhorn solver on one test problem.

    The errors are of the value, and of the gradient where it was computed.
    """

    def text(result):
        if not isinstance(result, Timing):
            return "not run"
        errors = [v for name, v in result.facts.items() if name.endswith("error")]
        return " / ".join("not a number" if e is None else f"{e:.0e}" for e in errors)

    return {**problem, **{name: text(result) for name, result in results.items() if "floor" not in name}}


def at_equal_accuracy(entry, steps=STEPS):
    """Return a benchmark that times a Sinkhorn solver with the fewest iterations that give the required accuracy.

    The gradient error is at most `ACCURACY`, unless no number of iterations in `steps` reaches it.
    """
    arguments = {name: value for name, value in entry.arguments.items() if name != "iterations"}
    arguments |= {"factory": entry.factory, "target": ACCURACY, "steps": list(steps)}
    return replace(entry, factory="benchmarks.contestants.sinkhorn_problem:fewest_iterations", arguments=arguments)


def equal_accuracy_row(report, problem, *, dtype, rounds, processes, steps=STEPS):
    """Time all Sinkhorn solvers at equal accuracy, and return the results as a table row.

    A claim on the library's speed is added to the report.

    Args:
        report: the `Report`.
        problem: {"B", "d"}.
        dtype: of the library's points.
        rounds: of `measure`.
        processes: the `Processes`.
        steps: numbers of iterations to try, rising.

    Returns:
        The row: µs and iterations, "not run" or "not reached".
    """
    entries = contestants(size=problem["B"], dim=problem["d"], iterations=steps[0], gradient=True, dtype=dtype)
    results = measure([at_equal_accuracy(e, steps) for e in entries if "floor" not in e.name], rounds, processes)
    report.case({**problem, "gradient error": ACCURACY}, results)
    ran = {name: result for name, result in results.items() if isinstance(result, Timing)}
    accurate = {name: result for name, result in ran.items() if result.facts["reached"]}
    best = fastest(accurate, OTHERS)
    gains = {
        name: ratio(accurate[best], accurate[name])[0] for name in ("ours", "ours JAX") if best and name in accurate
    }
    text = f"forward + gradient, B {problem['B']}, d {problem['d']}, all to a gradient error of {ACCURACY:g}"
    reason = "ours or all others did not run or did not reach it"
    limit = SPEED_UPS.get((10, problem["d"]), 1)
    report.claim(f"{text}: best other ({best}) / ours", gains.get("ours"), limit, at_least=True, reason=reason)
    cells = {name: f"{1e6 * median(result):.0f} (L {result.facts['iterations']})" for name, result in accurate.items()}
    cells = {name: cells.get(name, "not reached" if name in ran else "not run") for name in results}
    return {**problem, **cells, **{f"best other / {name}": f"{gain:.1f} ({best})" for name, gain in gains.items()}}


def add_claims(report, problem, results):
    """Report the speed-up of this package's Sinkhorn divergence over the fastest other library.

    The claims are on the ratios to the best other library and to the floor.
    """
    best, speed_up, overhead = compare(results, "ours", "floor")
    text = f"forward + gradient, B {problem['B']}, d {problem['d']}, L {problem['L']}"
    reason = "ours or all others did not run"
    limit = SPEED_UPS[problem["L"], problem["d"]]
    suffix = f" ({best})" if best else ""
    report.claim(f"{text}: best other{suffix} / ours, at equal L", speed_up, limit, at_least=True, reason=reason)
    report.claim(f"{text}: ours / floor", overhead, 1.6, reason=reason)


def main(arguments=None):
    flags = argument_parser(__doc__)
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
                problem = {"B": size, "d": dim, "L": iterations}
                print(f"{title}: {problem}", flush=True)
                entries = contestants(size=size, dim=dim, iterations=iterations, gradient=gradient, dtype=flags.dtype)
                results = measure(entries, rounds, processes)
                report.case({**problem, "gradient": gradient}, results)
                times.append(time_row(problem, results))
                errors.append(error_row(problem, results))
                if gradient and size == POINTS_OF_CLAIMS:
                    add_claims(report, problem, results)
            report.table(times, f"{title}, µs")
            report.table(errors, f"{title}: relative error of the value{' / of the gradient' if gradient else ''}")
        problems = dict.fromkeys((b, d) for b, d, _ in cases if b == POINTS_OF_CLAIMS or flags.quick)
        common = {"dtype": flags.dtype, "rounds": rounds, "processes": processes}
        rows = [
            equal_accuracy_row(report, {"B": b, "d": d}, steps=STEPS[:1] if flags.quick else STEPS, **common)
            for b, d in problems
        ]
        report.table(rows, f"Forward + gradient to an error of {ACCURACY:g}, µs (L that it takes)")
    report.write(flags.out)


if __name__ == "__main__":
    main()
