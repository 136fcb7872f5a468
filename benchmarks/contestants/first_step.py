"""Script that measures the time to a model's first training step, and prints the results as JSON.

Later steps are timed too.

python -m benchmarks.contestants.first_step OPTIONS

OPTIONS is a JSON object: "network" (arguments of `EncapNet`), "second" (options of the feedback units of a second
model in this process, or null), "batch", "compile" (arguments of `compile`) and "steps" (how many are timed after the
first).
"""

import json
import resource
import statistics
import sys
import time


class Clock:
    """A clock that measures the wall-clock time and CPU time of consecutive phases of a process.

    CPU time is that of all threads of the process.
    """

    def __init__(self):
        self._last = self._read_clocks()

    def seconds_since_last_call(self):
        """Return the wall-clock time and CPU time since the previous call of this method.

        The first call counts from the creation of the clock. Returns a dictionary of seconds: "wall" and "cpu".
        """
        now = self._read_clocks()
        seconds = {key: now[key] - self._last[key] for key in now}
        self._last = now
        return seconds

    @staticmethod
    def _read_clocks():
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {"wall": time.perf_counter(), "cpu": usage.ru_utime + usage.ru_stime}


def measure(options):
    """Measure how long it takes to import Keras, and to build one or two models and train each for one step.

    Args:
        options: as in the module's docstring.

    Returns:
        Dictionary of JSON types: phase -> {"wall", "cpu"} seconds, and figures of the first model.
    """
    clock = Clock()
    import keras

    seconds = {"import keras": clock.seconds_since_last_call()}

    import numpy as np

    import encapnet_tf as en

    random, shape = np.random.default_rng(0), tuple(options["network"]["input_shape"])
    images = random.random((options["batch"], *shape), dtype="float32")
    labels = random.integers(0, 10, options["batch"])

    def fit(feedback_options):
        keras.utils.set_random_seed(0)
        model = en.models.EncapNet(**options["network"], feedback_options=feedback_options)
        model.compile("adam", en.losses.MarginLoss(), metrics=["accuracy"], **options["compile"])
        model.fit(images, labels, batch_size=options["batch"], verbose=0)
        return model

    clock.seconds_since_last_call()
    model = fit(None)
    seconds["first model"] = clock.seconds_since_last_call()
    figures = {"peak memory": _peak_memory(), **_graph_of(model)}
    if options["second"] is not None:
        clock.seconds_since_last_call()
        model = fit(options["second"] or None)
        seconds["second model"] = clock.seconds_since_last_call()
    if options["steps"]:
        figures["step"] = _median_step(model, images, labels, options["steps"])
    return {"seconds": seconds, **figures}


def _peak_memory():
    from benchmarks.harness.worker import peak_memory

    return peak_memory()["resident"]


def _graph_of(model):
    """Count the operations and compiled-function calls in the TensorFlow graph of a model's training step."""
    import tensorflow as tf

    (traced,) = (
        cell.cell_contents
        for cell in model.train_function.__closure__
        if isinstance(cell.cell_contents, tf.types.experimental.PolymorphicFunction)
    )
    (graph,) = (f.graph for f in traced._list_all_concrete_functions())
    functions = {f.signature.name: f for f in graph.as_graph_def().library.function}
    compiled = {name for name, f in functions.items() if f.attr["_XlaMustCompile"].b}
    others = [f for name, f in functions.items() if name not in compiled]
    calls = [node.attr["f"].func.name for f in others for node in f.node_def if node.op.endswith("PartitionedCall")]
    return {
        "operations": sum(len(f.node_def) for f in others),
        "operations in compiled functions": sum(len(functions[name].node_def) for name in compiled),
        "compiled functions": len(compiled),
        "calls of compiled functions": sum(name in compiled for name in calls),
    }


def _median_step(model, images, labels, steps):
    import tensorflow as tf

    batches = iter(tf.data.Dataset.from_tensors((images, labels)).repeat())
    model.train_function(batches)
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        model.train_function(batches)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
