"""Where a run trains: on one device, on several of this machine, or on several machines."""

import json
import os
from contextlib import contextmanager

import tensorflow as tf

from ..config.schema import Config
from ..runs.errors import UserError


def prepare(config: Config):
    """Sets TensorFlow up for a run; to be called before anything else of it is used.

    Args:
        config: the run's configuration.

    Returns:
        A `tf.distribute.Strategy`, or None for one device.

    Raises:
        UserError: there are no such devices, or the configuration asks for what several replicas cannot do.
    """
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    kind = config.strategy
    if kind == "auto":
        several = len(tf.config.list_physical_devices("GPU")) > 1
        kind = "multi_worker" if _workers() > 1 else "mirrored" if several else "one_device"
    if kind != "mirrored" and config.replicas is not None:
        asked = config.strategy if config.strategy == kind else f"{config.strategy}, which is {kind} here"
        raise UserError(f"--replicas={config.replicas} goes with --strategy=mirrored. Received: --strategy={asked}.")
    if kind == "one_device":
        return None
    strategy = _multi_worker() if kind == "multi_worker" else tf.distribute.MirroredStrategy(_devices(config.replicas))
    refuse(config, strategy.num_replicas_in_sync)
    return strategy


def is_chief() -> bool:
    """Whether this process is the one that writes: the first worker, or the only process."""
    task = _cluster().get("task", {})
    return task.get("type") == "chief" or (task.get("index", 0) == 0 and "chief" not in _cluster().get("cluster", {}))


def across_machines(strategy) -> bool:
    """Whether other processes take part, so that all must do together what reads or writes across replicas."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def agreed(strategy, flag: bool) -> bool:
    """Whether any process has the flag. All processes must ask together, and all wait for the last."""
    return float(strategy.reduce("SUM", tf.constant(float(flag)), axis=None)) > 0 if across_machines(strategy) else flag


@contextmanager
def lost_workers_told(strategy, run):
    """Turns TensorFlow's error of a worker that is gone into a `UserError` that says how to go on with the run."""
    try:
        yield
    except tf.errors.OpError as error:
        if not across_machines(strategy):
            raise
        raise UserError(
            f"The workers lost each other: {error.message.splitlines()[0]}. Start all of them again, with "
            f"--resume={run.path if run else 'RUN'}.",
            status=1,
        ) from error


def _cluster() -> dict:
    text = os.environ.get("TF_CONFIG", "")
    try:
        cluster = json.loads(text) if text else {}
        if not isinstance(cluster, dict):
            raise ValueError("it is no JSON object")
        return cluster
    except ValueError as error:
        raise UserError(f"The environment variable TF_CONFIG cannot be read: {error}. Received: {text!r}.") from None


def _workers() -> int:
    return sum(len(_cluster().get("cluster", {}).get(kind, ())) for kind in ("chief", "worker"))


def _multi_worker():
    if not _workers():
        raise UserError(
            "--strategy=multi_worker needs the environment variable TF_CONFIG in every process, such as "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}.'
        )
    tf.get_logger().setLevel("WARNING")  # it tells of every exchange between the workers
    return tf.distribute.MultiWorkerMirroredStrategy()


def _devices(replicas) -> list[str]:
    gpus = len(tf.config.list_physical_devices("GPU"))
    if gpus:
        if (replicas or gpus) > gpus:
            raise UserError(f"--replicas={replicas}: this machine has {gpus} GPUs.")
        return [f"GPU:{i}" for i in range(replicas or gpus)]
    if replicas is None:
        raise UserError("--strategy=mirrored finds no GPU. For a trial on the CPU, say how many: --replicas=2.")
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    except RuntimeError:  # this process has used TensorFlow before
        if len(tf.config.list_logical_devices("CPU")) != replicas:
            raise UserError(f"This process has other devices already than {replicas} for a trial.") from None
    return [f"CPU:{i}" for i in range(replicas)]


def refuse(config: Config, replicas: int):
    """Refuses what several replicas cannot do.

    Args:
        config: the run's configuration.
        replicas: how many; one can do everything.

    Raises:
        UserError: as said, with the reason.
    """
    if replicas == 1:
        return
    reasons = {
        f"--batch_size={config.batch_size}": config.batch_size % replicas
        and f"a batch is shared out evenly, so its size must be a multiple of {replicas}",
        f"--clip_norm={config.clip_norm}": config.clip_norm
        and "Keras clips each replica's gradient before they are summed, which is not the gradient's norm",
        f"--accumulate_steps={config.accumulate_steps}": config.accumulate_steps > 1
        and "Keras cannot accumulate gradients across replicas; a larger --batch_size does the same",
        "--jit_compile=true": config.jit_compile == "true"
        and "XLA cannot compile a step that exchanges gradients between replicas; auto leaves it out",
    }
    for setting, reason in reasons.items():
        if reason:
            raise UserError(f"{setting} does not go with {replicas} replicas: {reason}.")
