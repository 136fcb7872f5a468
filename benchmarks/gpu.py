"""Benchmark of training steps, the Sinkhorn divergence, a training and grouped convolutions on a GPU, within 9 minutes.

python -m benchmarks.gpu [--minutes 9] [--parts steps,sinkhorn] [--data_dir FOLDER] [--quick] [--out FOLDER]

Uses Keras's JAX backend and no TensorFlow (KERAS_BACKEND=tensorflow uses TensorFlow instead). Writes gpu.json and
gpu.md after every part, so that an interrupted run keeps what it has measured. Parts for which no time is left are left
out; name them in --parts to run them alone, which writes gpu_PARTS.json and gpu_PARTS.md.

Without a GPU only --quick runs: tiny sizes on the CPU, to show that the benchmark works. A quick run never writes to
results/; without --out it prints its page.
"""

import argparse
import os
import time
from dataclasses import replace

from benchmarks.harness.arguments import RESULTS, argument_parser
from benchmarks.harness.contestant import Contestant, NotRun, Timing
from benchmarks.harness.processes import ONE_PROCESS, Processes
from benchmarks.harness.report import Report, milliseconds
from benchmarks.harness.timing import QUICK_ROUNDS, measure, median, ratio
from benchmarks.workloads import step_networks as networks
from benchmarks.workloads.fashion_mnist import add_data_dir
from benchmarks.workloads.gpu_training import EPOCHS, affordable_epochs, train
from benchmarks.workloads.grouped_conv_shapes import shapes

PARTS = ("steps", "sinkhorn", "grouped", "large")  # "steps" includes the training
ROUNDS, STEPS = 7, 10  # steps of a round, run without waiting for each other, as in `fit`
DENSE = "dense convolutions"
NETWORKS = (networks.EIGHTEEN_MASTER[0], networks.EIGHTEEN_AIDE[0], networks.EIGHTEEN_MASTER[2])
TRAINED = networks.EIGHTEEN_AIDE[0]  # the network of the training; its step tells how many epochs fit
SMALL, LARGE, HALF = 128, 1024, "mixed_bfloat16"
SIZES, DIM, ITERATIONS, LARGEST_SOLVED = (128, 512, 2048, 8192), 64, (10, 50), 512
FORMS = {"library": "ours", "native": "native"}  # name -> lowering of `keras_layers`
COEFFICIENTS = 'coefficient, "own" or "cross"'  # role of the shapes whose kernels compute m1 and m2 together
ABOUT = (
    "Random 32x32x3 images, 10 classes, Adam, margin loss; a step is what `fit` runs, and a round runs "
    f"{STEPS} of them without waiting in between. Figures are medians of {ROUNDS} interleaved rounds. `dense "
    "convolutions`: the backend's own, forward + gradient, on the dense shapes of EncapNet-18 master/aide, on "
    "JAX in one program. TFLOP/s: two operations a multiply-add of convolutions and dense layers, three forward "
    "passes in a step; JAX computes float32 convolutions in TF32 on a GPU. Sinkhorn: forward + gradient in one call, "
    f"{DIM} features, squared Euclidean cost, float32; `floor`: three cost matrices and one exp (in TF32); error: of "
    "the gradient, relative to one in float64. Grouped convolutions: forward + gradient of EncapNet-18's mappings and "
    f"coefficients, bfloat16, batch {SMALL}; a round runs {STEPS} of them without waiting. `native`: one grouped "
    "convolution of the backend; `library`: what this library takes, dense convolutions with block-diagonal kernels "
    "for groups of fewer than 16 channels. Training: see below."
)


class Run:
    """One run of the benchmark: its flags, backend, report and the time that is left.

    Args:
        flags: the command's.
        backend: "jax" or "tensorflow".
    """

    def __init__(self, flags, backend):
        self.flags, self.quick = flags, flags.quick
        self.environment = {"KERAS_BACKEND": backend, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        self.rounds = QUICK_ROUNDS if self.quick else ROUNDS
        self._end = time.monotonic() + 60 * flags.minutes

    def seconds_left(self):
        return self._end - time.monotonic()

    def contestant(self, name, factory, **arguments):
        """Return a contestant of this run. All share a process, because compiled programs hold memory of the GPU."""
        path = f"benchmarks.contestants.{factory}"
        return Contestant(name, path, arguments, worker="gpu", environment=self.environment)

    def measure(self, contestants):
        """Time contestants in a new process, and return the results of `measure`."""
        with Processes(time_limit=max(1.0, self.seconds_left())) as processes:
            return measure(contestants, self.rounds, processes, builds_all_first=True)

    def measure_cases(self, cases):
        """Time the contestants of several cases in one process, because its start takes seconds.

        Args:
            cases: {case: {name: (factory, arguments)}}.

        Returns:
            {case: {name: `Timing` or `NotRun`}}.
        """
        names = {(case, name): f"{case}: {name}" for case, entries in cases.items() for name in entries}
        entries = [
            self.contestant(full_name, cases[case][name][0], **cases[case][name][1])
            for (case, name), full_name in names.items()
        ]
        results = self.measure(entries)
        return {case: {name: results[names[case, name]] for name in entries} for case, entries in cases.items()}


def device_of(run):
    """Return the name of the device that the benchmark runs on, and whether it is a GPU."""
    result = run.measure([run.contestant("device", "keras_calls:describe_device")])["device"]
    if isinstance(result, NotRun):
        raise SystemExit(f"Keras's backend {run.environment['KERAS_BACKEND']} does not work here: {result.reason}")
    return result.facts["device"], result.facts["gpu"]


def _toy(network):
    """Return a network of a few layers under the name of a large one, for --quick."""
    options = {"input_shape": (8, 8, 3), "num_capsules": 2}
    if network.builder == "ResNet18":
        return replace(network, builder="PlainCNN", options=options)
    module = {"depths": (0,), "capsule_dims": (4,), "strides": (2,)}
    half = {"feedback": "half"} if network.options["feedback"] else {}
    return replace(network, builder="EncapNet", options=network.options | options | module | half)


def add_steps(run, report, dtype, batch):
    """Time the training steps of the networks, add them to the report, and return the results of `measure`."""
    steps, size = (2, 4) if run.quick else (STEPS, batch)
    chosen = [_toy(network) if run.quick else network for network in NETWORKS]
    common = {"batch": size, "dtype": dtype}
    entries = [
        run.contestant(n.name, "networks:training_steps", builder=n.builder, options=n.options, steps=steps, **common)
        for n in chosen
    ]
    aide = chosen[1]
    entries.append(
        run.contestant(DENSE, "networks:dense_convolutions", builder=aide.builder, options=aide.options, **common)
    )
    results = run.measure(entries)
    report.case({"step": "training", "dtype": dtype, "batch": size, "steps of a round": steps}, results)
    rows = []
    for name, result in results.items():
        row = {"network": name, "parameters": None, "ms a step": "not run"}
        if isinstance(result, Timing):
            seconds = median(result) / (1 if name == DENSE else steps)
            flops = result.facts["flops"] / (1 if name == DENSE else steps)
            row |= {"parameters": result.facts.get("parameters"), "ms a step": 1e3 * seconds}
            row |= {"images/s": size / seconds, "TFLOP/s": flops / seconds / 1e12}
            to_resnet = ratio(result, results[NETWORKS[2].name])
            row["/ ResNet18"] = to_resnet[0] if to_resnet and name != DENSE else None
        rows.append(row)
    report.table(rows, f"Training steps, {dtype}, batch {size}")
    return results


def add_sinkhorn(run, report):
    """Time the Sinkhorn divergence for rising numbers of points, and add the results to the report."""
    steps, sizes = (ITERATIONS[:1], (16,)) if run.quick else (ITERATIONS, SIZES)
    cases = {}
    for size in sizes:
        common = {"size": size, "dim": 4 if run.quick else DIM, "gradient": True}
        solved = {"reference": size <= LARGEST_SOLVED}
        case = {f"L {n}": ("sinkhorn_keras:ours", {"iterations": n} | common | solved) for n in steps}
        cases[size] = case | {"floor": ("sinkhorn_keras:floor", common)}
    rows = []
    for size, results in run.measure_cases(cases).items():
        report.case({"Sinkhorn, B": size}, results)
        row = {"B": size, **{f"{name}, ms": value for name, value in milliseconds(results).items()}}
        ratios = {f"L {n} / floor": ratio(results[f"L {n}"], results["floor"]) for n in steps}
        row |= {name: pair and pair[0] for name, pair in ratios.items()}
        last = results[f"L {steps[-1]}"]
        error = last.facts.get("gradient error") if isinstance(last, Timing) else None
        rows.append(row | {f"error, L {steps[-1]}": error})
    report.table(rows, "Sinkhorn divergence")


def add_training(run, report, results):
    """Train EncapNet-18 on Fashion-MNIST for as many epochs as fit, and add its accuracy to the report."""
    timing = results[TRAINED.name]
    epochs = 1 if run.quick else affordable_epochs(timing, STEPS, run.seconds_left(), SMALL)
    if epochs < 1:
        report.note("Fashion-MNIST: not run: no time left, or the network's step did not run")
        return
    trained = train(run.flags, epochs, run.seconds_left(), run.environment)
    if isinstance(trained, str):
        report.note(f"Fashion-MNIST: not run: {trained}")
        return
    row = {"network": TRAINED.name, "epochs": epochs, "seconds": trained["seconds"]}
    report.table([row | {"test accuracy": f"{trained['accuracy'][-1]:.2%}"}], f"Fashion-MNIST, {HALF}, batch {SMALL}")
    report.note(f"Fashion-MNIST: random shifts and mirroring, one seed, up to {EPOCHS} epochs as time allows")
    report.extra("fashion_mnist", trained)


def add_grouped_convolutions(run, report):
    """Time several forms of EncapNet-18's grouped convolutions, and add the results to the report."""
    timed = [shape for shape in shapes() if shape.role.startswith("mapping")]
    timed += [replace(shape, dim_out=2) for shape in shapes() if shape.role == COEFFICIENTS]
    timed = timed[-1:] if run.quick else timed
    batch, calls = (2, 1) if run.quick else (SMALL, STEPS)
    common = {"groups": 32, "batch": batch, "gradient": True, "dtype": "bfloat16", "jit": True, "calls": calls}
    cases = {
        str(shape): {
            form: ("keras_layers:convolution", {"lowering": lowering, "shape": shape.as_arguments()} | common)
            for form, lowering in FORMS.items()
        }
        for shape in timed
    }
    rows = []
    for shape, results in run.measure_cases(cases).items():
        report.case({"grouped convolution": shape, "batch": batch, "calls of a round": calls}, results)
        times = milliseconds(results).items()
        rows.append({"shape": shape, **{form: ms if isinstance(ms, str) else ms / calls for form, ms in times}})
    report.table(rows, "Grouped convolutions, ms")


def measurements(run, report):
    """Yield the measurements of the benchmark one by one.

    Each is (part, description, seconds below which it is not worth starting, function).
    """
    timings = {}
    yield "steps", "steps, bfloat16", 60, lambda: timings.update(add_steps(run, report, HALF, SMALL))
    if not run.quick:  # otherwise the code and the size are those of the first part
        yield "steps", "steps, float32", 60, lambda: add_steps(run, report, "float32", SMALL)
    yield "sinkhorn", "Sinkhorn", 40, lambda: add_sinkhorn(run, report)
    if TRAINED.name in timings:
        yield "steps", "Fashion-MNIST", 60, lambda: add_training(run, report, timings)
    if not run.quick:
        yield "large", "steps, bfloat16, large batch", 75, lambda: add_steps(run, report, HALF, LARGE)
        yield "large", "steps, float32, large batch", 75, lambda: add_steps(run, report, "float32", LARGE)
    yield "grouped", "grouped convolutions", 60, lambda: add_grouped_convolutions(run, report)


def _parse_parts(text):
    """Parse the flag --parts into a tuple of names of parts."""
    names = tuple(text.split(","))
    if not set(names) <= set(PARTS):
        raise argparse.ArgumentTypeError(f"expected some of {','.join(PARTS)}, received {text!r}")
    return names


def main(arguments=None):
    flags = argument_parser(__doc__)
    flags.add_argument("--minutes", type=float, default=9.0, help="time for everything (9)")
    flags.add_argument("--parts", type=_parse_parts, default=PARTS, help=f"which to run ({','.join(PARTS)})")
    add_data_dir(flags)
    flags = flags.parse_args(arguments)
    backend = os.environ.get("KERAS_BACKEND", "tensorflow" if os.environ.get(ONE_PROCESS) else "jax")
    run = Run(flags, backend)
    device, is_gpu = device_of(run)
    if not (is_gpu or run.quick):
        raise SystemExit(f"The {backend} backend sees no GPU, only {device}: nothing is measured. Try --quick.")
    name = "_".join(["gpu", *([backend] if backend != "jax" else []), *(flags.parts if flags.parts != PARTS else [])])
    name = "gpu_quick" if run.quick else name
    report = Report(name, f"On a GPU: {device}, {backend}", ABOUT, run.quick)
    report.extra("device", device)
    writes = not (run.quick and flags.out.resolve() == RESULTS)
    for part, description, least, add_measurement in measurements(run, report):
        if part not in flags.parts:
            continue
        if run.seconds_left() < least:
            report.note(f"{description}: left out, {run.seconds_left():.0f} s of {60 * flags.minutes:.0f} were left")
            continue
        print(f"{description}: {run.seconds_left():.0f} s left", flush=True)
        add_measurement()
        if writes:
            report.write(flags.out)
    if writes:
        report.write(flags.out)  # with the notes on what was left out
    print(report.markdown())


if __name__ == "__main__":
    main()
