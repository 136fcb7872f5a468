"""Benchmark of a training step's time and peak memory for single capsule layers, with and without routing.

python -m benchmarks.routing [--quick] [--out FOLDER]

Convolutional layers are compared with CapConv2D, fully connected ones with EMRouting, at one size each.
"""

from benchmarks.harness.arguments import argument_parser
from benchmarks.harness.contestant import Contestant, NotRun
from benchmarks.harness.processes import Processes, WorkerFailed
from benchmarks.harness.report import Report
from benchmarks.harness.timing import QUICK_ROUNDS, measure, median
from benchmarks.workloads.step_networks import ENVIRONMENT

ROUNDS = 7
DIM = 16  # components of every capsule
ABOUT = (
    "A training step of one layer with default settings where the table does not say otherwise, float32: outputs, and "
    "gradients with respect to input and weights, in a plain `tf.function` as in `model.fit` on a CPU; medians of "
    "interleaved rounds. Memory: peak resident size of the layer's process, TensorFlow's own included (the first row "
    "of a table is little more than that). Votes: the size of all votes of the batch, which a layer that kept them "
    "would hold several times for the gradient. All capsules have 16 components."
)


def convolutional(capsules):
    """Return the names, classes and arguments of the convolutional capsule layers to benchmark.

    The result is {display name: (class name, arguments)}.
    """
    window = {"kernel_size": 3, "strides": 2}
    same = {"num_capsules": capsules, "capsule_dim": DIM}
    attention = {**same, **window, "num_input_capsules": capsules}
    return {
        "CapConv2D, master": ("CapConv2D", {**same, **window, "routing": "master"}),
        "CapConv2D, master/aide": ("CapConv2D", {**same, **window}),
        "SelfRouting2D": ("SelfRouting2D", {**same, **window}),
        "ConvRouting3D, 3 iterations": ("ConvRouting3D", attention),
        "InvertedAttentionConv2D, 1 pass": ("InvertedAttentionConv2D", {**attention, "iterations": 1}),
        "InvertedAttentionConv2D, 2 passes": ("InvertedAttentionConv2D", {**attention, "iterations": 2}),
        "InvertedAttentionConv2D, 2 passes, matrix": (
            "InvertedAttentionConv2D",
            {**attention, "iterations": 2, "pose": "matrix"},
        ),
    }


def fully_connected(capsules):
    """Return the fully connected capsule layers to benchmark, with their constructor arguments.

    The result is a dictionary, display name -> (class name, arguments).
    """
    same = {"num_capsules": capsules, "capsule_dim": DIM}
    return {
        "CapFC": ("CapFC", same),
        "EMRouting, 32 matrices": ("EMRouting", same),
        "DynamicRouting, 32 matrices": ("DynamicRouting", {**same, "num_input_capsules": 32}),
        "DynamicRouting": ("DynamicRouting", {**same, "use_bias": False}),
        "SelfAttentionRouting": ("SelfAttentionRouting", same),
        "InvertedAttentionRouting, 2 passes": ("InvertedAttentionRouting", same),
    }


def sizes(quick):
    """Return the capsule layers to benchmark, grouped into tables by input shape and batch size.

    The tuples end with the number of votes for one image.
    """
    side, capsules, batch = (4, 2, 2) if quick else (16, 32, 8)
    inputs, outputs, images = (32, 2, 2) if quick else (2048, 32, 32)
    votes = (side // 2) ** 2 * 9 * capsules * capsules * DIM
    return {
        f"Convolutional, {side}x{side} to {side // 2}x{side // 2}, {capsules} to {capsules} capsules, kernel 3, "
        f"batch {batch}": (convolutional(capsules), (side, side, capsules * DIM), batch, votes),
        f"Fully connected, {inputs} to {outputs} capsules, batch {images}": (
            fully_connected(outputs),
            (inputs, DIM),
            images,
            inputs * outputs * DIM,
        ),
    }


def votes_of(name, votes):
    """Return the number of elements in a capsule layer's vote tensor, or None for a layer without votes.

    ConvRouting3D sums over its kernel before it routes.
    """
    if name.startswith("Cap"):
        return None
    return votes // 9 if name.startswith("ConvRouting3D") else votes


def row_of(name, timing, peak, votes):
    """Return a table row with the parameter count, run time and memory use of one capsule layer.

    Memory use is the peak memory and the memory that the votes take.
    """
    if isinstance(timing, NotRun):
        return {"layer": name, "ms a step": "not run"}
    return {
        "layer": name,
        "parameters": timing.facts["parameters"],
        "ms a step": 1e3 * median(timing),
        "peak memory, GB": "not run" if peak is None else peak / 1e9,
        "votes, GB": "" if votes is None else votes * 4 / 1e9,
    }


def main(arguments=None):
    flags = argument_parser(__doc__).parse_args(arguments)
    report = Report("routing", "Routing layers", ABOUT, flags.quick)
    factory = "benchmarks.contestants.routing_layers:training_step"
    for title, (layers, shape, batch, votes) in sizes(flags.quick).items():
        print(title, flush=True)
        contestants = [
            Contestant(
                name,
                factory,
                {"layer": layer, "options": options, "shape": shape, "batch": batch, "input_dim": DIM},
                environment=ENVIRONMENT,
            )
            for name, (layer, options) in layers.items()
        ]
        with Processes() as processes:
            results = measure(contestants, QUICK_ROUNDS if flags.quick else ROUNDS, processes)
            peaks = {contestant.name: _peak_memory(processes, contestant) for contestant in contestants}
        report.case({"title": title}, results)
        report.table(
            [row_of(name, results[name], peaks[name], votes_of(name, votes * batch)) for name in layers], title
        )
    report.write(flags.out)


def _peak_memory(processes, contestant):
    """Return the peak resident memory of a benchmark's process in bytes, or None if the process has failed."""
    try:
        return processes.request(contestant, do="peak")["resident"]
    except WorkerFailed:
        return None


if __name__ == "__main__":
    main()
