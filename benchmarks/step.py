"""Training and inference steps of whole networks, their memory, and the arithmetic they reach.

python -m benchmarks.step [--batch 32] [--memory_batch 128] [--dtype float32|mixed_bfloat16] [--quick] [--out FOLDER]

KERAS_BACKEND=jax runs it without TensorFlow, on an accelerator where there is one. Files are named after what differs
from the defaults: step.json, step_jax_mixed_bfloat16_batch1024.json, ...
"""

import os

from benchmarks import step_networks as networks
from benchmarks.arguments import parser
from benchmarks.contestant import Contestant, NotRun, Timing
from benchmarks.harness import QUICK_ROUNDS, ROUNDS, measure, median, peak_memory
from benchmarks.processes import Processes
from benchmarks.report import Report
from benchmarks.step_claims import claims

MODULE = "benchmarks.contestants.networks"
DENSE = "dense convolutions"
REFERENCE_BATCH = 64  # the reference's 14 layers were timed with
ABOUT = (
    "Random 32x32x3 images, 10 classes, Adam and the margin loss, everything as `model.compile` has it by default; the "
    "training step is what `fit` calls in its loop (on JAX `train_on_batch`). Each network has a process of its own; "
    "those of a group are timed in interleaved rounds, of which the medians are shown (networks marked so were timed "
    "once). Peak memory: resident size of a fresh process after three training steps. GFLOP/s: two operations a "
    "multiply-add of the network's convolutions and dense layers, without feedback units and routing iterations, three "
    "forward passes' worth in training. `dense convolutions`: the backend's own dense convolution, forward + gradient, "
    "over the dense convolution shapes of the network above, one after another."
)


def arguments_of(given):
    flags = parser(__doc__)
    flags.add_argument("--batch", type=int, default=32, help="images in a batch, for time")
    flags.add_argument("--memory_batch", type=int, default=128, help="images in a batch, for memory")
    flags.add_argument("--dtype", default="float32", choices=("float32", "mixed_bfloat16"), help="Keras dtype policy")
    return flags.parse_args(given)


def name_of(flags, backend):
    """Name of the files: "step" and whatever differs from the defaults."""
    parts = [backend] if backend != "tensorflow" else []
    parts += [flags.dtype] if flags.dtype != "float32" else []
    parts += [f"batch{flags.batch}"] if flags.batch != 32 else []
    return "_".join(["step", *parts])


def contestant(network, kind, batch, dtype):
    """A network's step: `kind` is a function of `contestants.networks`."""
    batch = min(batch, network.most_images or batch)
    arguments = {"builder": network.builder, "options": network.options, "batch": batch, "dtype": dtype}
    slow = network.most_images is not None
    return Contestant(network.name, f"{MODULE}:{kind}", arguments, environment=networks.ALONE, slow=slow)


class Group:
    """Networks timed against each other, in training and in inference.

    Args:
        group: `Network`s.
        batch: images in a batch, for time.
        memory_batch: images in a batch, for memory; None leaves memory out.
        flags: the command's.
        report: a `Report`, which is given every figure.
        inference: whether inference is timed too.
        dense: whether the dense convolutions of the first network are timed too.

    Attributes:
        batch: as given.
        training, inference: results of `measure`, by network.
        memory: (batch, result of `peak_memory`), by network.
    """

    def __init__(self, group, batch, memory_batch, flags, report, inference=True, dense=False):
        print("timing " + ", ".join(network.name for network in group), flush=True)
        rounds = QUICK_ROUNDS if flags.quick else ROUNDS
        self._group, self.batch, self.inference, self.memory = group, batch, {}, {}
        entries = [contestant(network, "training_step", batch, flags.dtype) for network in group]
        if dense:
            entries.append(
                Contestant(DENSE, f"{MODULE}:dense_convolutions", entries[0].arguments, environment=networks.ALONE)
            )
        with Processes() as processes:
            self.training = measure(entries, rounds, processes)
            report.case({"step": "training", "batch": batch}, self.training)
            if inference:
                entries = [contestant(network, "inference_step", batch, flags.dtype) for network in group]
                self.inference = measure(entries, rounds, processes)
                report.case({"step": "inference", "batch": batch}, self.inference)
        for network in group if memory_batch else ():
            step = contestant(network, "training_step", memory_batch, flags.dtype)
            peak = peak_memory(step)
            self.memory[network.name] = step.arguments["batch"], peak
            report.case({"peak memory of": network.name}, {network.name: peak} if _failed(peak) else {})

    def rows(self):
        """Rows of the table."""
        rows = [self._row(network.name, min(self.batch, network.most_images or self.batch)) for network in self._group]
        return rows + ([self._row(DENSE, self.batch)] if DENSE in self.training else [])

    def _row(self, name, batch):
        trained, inferred = self.training[name], self.inference.get(name)
        facts = trained.facts if isinstance(trained, Timing) else {}
        once = " (timed once)" if isinstance(trained, Timing) and len(trained.seconds) == 1 else ""
        memory_batch, peak = self.memory.get(name, (None, None))
        row = {"network": name + once, "batch": batch, "parameters": facts.get("parameters")}
        if peak is not None:
            row["peak memory, GB"] = (
                "not run" if _failed(peak) else f"{peak['resident'] / 1e9:.2f} (batch {memory_batch})"
            )
            if not _failed(peak) and peak["device"]:
                row["peak device memory, GB"] = peak["device"] / 1e9
        row |= _speed("training", trained, batch)
        return row | (_speed("inference", inferred, batch) if inferred else {})


def _speed(step, timing, batch):
    if not isinstance(timing, Timing):
        return {f"{step}, ms": "not run"}
    seconds = median(timing)
    return {
        f"{step}, ms": 1e3 * seconds,
        f"{step}, images/s": batch / seconds,
        f"{step}, GFLOP/s": timing.facts["flops"] / seconds / 1e9,
    }


def _failed(result):
    return isinstance(result, NotRun)


def main(arguments=None):
    flags = arguments_of(arguments)
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    report = Report(name_of(flags, backend), f"Steps on {backend}, {flags.dtype}", ABOUT, flags.quick)
    chosen, batch, reference_batch, memory_batch = networks.GROUPS, flags.batch, REFERENCE_BATCH, flags.memory_batch
    if flags.quick:
        chosen = {name: [network.tiny() for network in group] for name, group in networks.FEW.items()}
        batch, reference_batch, memory_batch = 4, 4, None
    groups = {
        "six": Group(chosen["six"], batch, memory_batch, flags, report),
        "master": Group(chosen["master"], batch, memory_batch, flags, report),
        "aide": Group(chosen["aide"], batch, memory_batch, flags, report, dense=True),
        "fourteen": Group(
            chosen["fourteen"], reference_batch, memory_batch or batch, flags, report, inference=not flags.quick
        ),
    }
    report.table([row for group in groups.values() for row in group.rows()])
    timings = [t for group in groups.values() for t in group.training.values() if isinstance(t, Timing)]
    report.note(f"device: {', '.join(sorted({t.facts['device'] for t in timings if 'device' in t.facts}))}")
    claims(report, groups)
    report.write(flags.out)


if __name__ == "__main__":
    main()
