"""Benchmark of the time, peak memory and FLOP/s of whole networks' training and inference steps.

python -m benchmarks.step [--networks paper|family] [--batch 32] [--memory_batch 128]
    [--dtype float32|mixed_bfloat16] [--quick] [--out FOLDER]

KERAS_BACKEND=jax runs it without TensorFlow, on an accelerator if there is one. Names of files contain the flags that
differ from the defaults: step.json, step_jax_mixed_bfloat16_batch1024.json, ...
"""

import os

from benchmarks.harness.arguments import argument_parser
from benchmarks.harness.contestant import Contestant, NotRun, Timing
from benchmarks.harness.processes import Processes
from benchmarks.harness.report import Report
from benchmarks.harness.timing import QUICK_ROUNDS, ROUNDS, measure, median, peak_memory
from benchmarks.step_claims import add_claims
from benchmarks.workloads import step_networks as networks

MODULE = "benchmarks.contestants.networks"
DENSE = "dense convolutions"
REFERENCE_BATCH = 64  # of the reference's measurement with 14 layers
ABOUT = (
    "Random images (32x32x3; 28x28x1 for --networks=family), 10 classes, Adam and the margin loss, everything as "
    "`model.compile` has it by default; the training step is what `fit` calls in its loop (on JAX "
    "`train_on_batch`). Each network has a process of its own; "
    "those of a group are timed in interleaved rounds, of which the medians are shown (networks marked so were timed "
    "once). Peak memory: resident size of a fresh process after three training steps. GFLOP/s: two operations a "
    "multiply-add of the network's convolutions and dense layers, without feedback units and routing iterations, three "
    "forward passes' worth in training. `dense convolutions`: the backend's own dense convolution, forward + gradient, "
    "over the dense convolution shapes of the network above, one after another."
)


def parse_flags(arguments):
    flags = argument_parser(__doc__)
    flags.add_argument(
        "--networks",
        default="paper",
        choices=("paper", "family"),
        help="paper: those of the EncapNet paper; family: those of `encapnet ablate --table=family`, on 28x28x1 images",
    )
    flags.add_argument("--batch", type=int, default=32, help="images in a batch, for time")
    flags.add_argument("--memory_batch", type=int, default=128, help="images in a batch, for memory")
    flags.add_argument("--dtype", default="float32", choices=("float32", "mixed_bfloat16"), help="Keras dtype policy")
    return flags.parse_args(arguments)


def name_of(flags, backend):
    """Derive the base name of benchmark result files from the command-line flags."""
    parts = [flags.networks] if flags.networks != "paper" else []
    parts += [backend] if backend != "tensorflow" else []
    parts += [flags.dtype] if flags.dtype != "float32" else []
    parts += [f"batch{flags.batch}"] if flags.batch != 32 else []
    return "_".join(["step", *parts])


def contestant(network, step, batch, dtype):
    """Return a benchmark that measures the training or inference step of one network.

    Args:
        network: a `Network`.
        step: name of a function of `contestants.networks`.
        batch: number of images.
        dtype: Keras dtype policy.
    """
    batch = min(batch, network.most_images or batch)
    arguments = {"builder": network.builder, "options": network.options, "batch": batch, "dtype": dtype}
    slow = network.most_images is not None
    return Contestant(network.name, f"{MODULE}:{step}", arguments, environment=networks.ENVIRONMENT, slow=slow)


class Group:
    """Measured run times and peak memory of several networks that are benchmarked together.

    Times are those of training and inference.

    Args:
        group: `Network`s.
        batch: images in a batch, for time.
        memory_batch: images in a batch, for memory; None leaves memory out.
        flags: the command's.
        report: the `Report` that records every result.
        inference: whether inference is timed too.
        dense: whether the dense convolutions of the first network are timed too.

    Attributes:
        batch: the argument `batch`.
        training, inference: results of `measure`, by network.
        memory: (batch, result of `peak_memory`), by network.
    """

    def __init__(self, group, *, batch, memory_batch, flags, report, inference=True, dense=False):
        print("timing " + ", ".join(network.name for network in group), flush=True)
        rounds = QUICK_ROUNDS if flags.quick else ROUNDS
        self._group, self.batch, self.inference, self.memory = group, batch, {}, {}
        entries = [contestant(network, "training_step", batch, flags.dtype) for network in group]
        if dense:
            entries.append(
                Contestant(
                    DENSE, f"{MODULE}:dense_convolutions", entries[0].arguments, environment=networks.ENVIRONMENT
                )
            )
        with Processes() as processes:
            self.training = measure(entries, rounds, processes)
            report.case({"step": "training", "batch": batch}, self.training)
            if inference:
                entries = [contestant(network, "inference_step", batch, flags.dtype) for network in group]
                self.inference = measure(entries, rounds, processes)
                report.case({"step": "inference", "batch": batch}, self.inference)
        for network in group if memory_batch else ():
            entry = contestant(network, "training_step", memory_batch, flags.dtype)
            peak = peak_memory(entry)
            self.memory[network.name] = entry.arguments["batch"], peak
            report.case({"peak memory of": network.name}, {network.name: peak} if _failed(peak) else {})

    def rows(self):
        """Return table rows with run times and peak memory, one row for each benchmarked network."""
        rows = [self._row(network.name, min(self.batch, network.most_images or self.batch)) for network in self._group]
        return rows + ([self._row(DENSE, self.batch)] if DENSE in self.training else [])

    def _row(self, name, batch):
        training, inference = self.training[name], self.inference.get(name)
        facts = training.facts if isinstance(training, Timing) else {}
        once = " (timed once)" if isinstance(training, Timing) and len(training.seconds) == 1 else ""
        memory_batch, peak = self.memory.get(name, (None, None))
        row = {"network": name + once, "batch": batch, "parameters": facts.get("parameters")}
        if peak is not None:
            row["peak memory, GB"] = (
                "not run" if _failed(peak) else f"{peak['resident'] / 1e9:.2f} (batch {memory_batch})"
            )
            if not _failed(peak) and peak["device"]:
                row["peak device memory, GB"] = peak["device"] / 1e9
        row |= _speed("training", training, batch)
        if isinstance(inference, Timing) and "multiply-adds" in inference.facts:
            row["multiply-adds"] = inference.facts["multiply-adds"]
        return row | (_speed("inference", inference, batch) if inference else {})


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
    flags = parse_flags(arguments)
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    report = Report(name_of(flags, backend), f"Steps on {backend}, {flags.dtype}", ABOUT, flags.quick)
    if flags.networks == "family":
        from benchmarks.workloads.family_networks import family

        group = Group(
            family(),
            batch=flags.batch,
            memory_batch=None if flags.quick else flags.memory_batch,
            flags=flags,
            report=report,
        )
        report.table(group.rows())
        report.write(flags.out)
        return
    networks_of, batch, reference_batch, memory_batch = (
        networks.GROUPS,
        flags.batch,
        REFERENCE_BATCH,
        flags.memory_batch,
    )
    if flags.quick:
        networks_of = {name: [network.tiny() for network in group] for name, group in networks.FEW.items()}
        batch, reference_batch, memory_batch = 4, 4, None
    common = {"batch": batch, "memory_batch": memory_batch, "flags": flags, "report": report}
    reference = {"batch": reference_batch, "memory_batch": memory_batch or batch, "inference": not flags.quick}
    groups = {
        "six": Group(networks_of["six"], **common),
        "master": Group(networks_of["master"], **common),
        "aide": Group(networks_of["aide"], **common, dense=True),
        "fourteen": Group(networks_of["fourteen"], **{**common, **reference}),
    }
    report.table([row for group in groups.values() for row in group.rows()])
    timings = [t for group in groups.values() for t in group.training.values() if isinstance(t, Timing)]
    report.note(f"device: {', '.join(sorted({t.facts['device'] for t in timings if 'device' in t.facts}))}")
    add_claims(report, groups)
    report.write(flags.out)


if __name__ == "__main__":
    main()
