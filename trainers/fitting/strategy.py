"""Functions that set up TensorFlow devices and `tf.distribute` strategies for training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import tensorflow as tf

from ..config.cluster import read_cluster
from ..config.schema import Config
from ..data import Dataset
from ..data.pipeline.batches import evaluation_batches
from ..evaluation.predictions import PREDICT_BATCH
from ..runs.counting import counted
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory


def prepare(config: Config) -> tf.distribute.Strategy | None:
    """Return the `tf.distribute` strategy for training on several devices, or None for a single device.

    TensorFlow's devices are set up, too. Call this function before anything else that makes TensorFlow create devices.

    Args:
        config: the run's configuration.

    Returns:
        A strategy for several devices; None for one device.

    Raises:
        UserError: the devices do not exist, or the configuration has a setting that several replicas cannot follow.
    """
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    kind = config.strategy
    if kind == "auto":
        several_gpus = len(tf.config.list_physical_devices("GPU")) > 1
        kind = "multi_worker" if _worker_count() > 1 else "mirrored" if several_gpus else "one_device"
    if kind != "mirrored" and config.replicas is not None:
        received = config.strategy if config.strategy == kind else f"{config.strategy}, which is {kind} here"
        raise UserError(
            f"--replicas={config.replicas} needs --strategy=mirrored. Received: --strategy={received}. Add "
            "--strategy=mirrored, or leave --replicas out."
        )
    if kind == "one_device":
        return None
    strategy = (
        _multi_worker_strategy()
        if kind == "multi_worker"
        else tf.distribute.MirroredStrategy(_devices(config.replicas))
    )
    check_replica_settings(config, strategy.num_replicas_in_sync)
    return strategy


def check_replica_settings(config: Config, replicas: int) -> None:
    """Raise `UserError` if a setting, such as the batch size, is incompatible with the number of model replicas.

    An example is a batch size that is not a multiple of this number.

    Args:
        config: the run's configuration.
        replicas: number of replicas; one replica can follow every setting.

    Raises:
        UserError: naming the setting and the reason.
    """
    if replicas == 1:
        return
    reasons = {
        f"--batch_size={config.batch_size}": config.batch_size % replicas
        and f"a batch is divided evenly, so its size must be a multiple of {replicas}",
        f"--clip_norm={config.clip_norm}": config.clip_norm
        and "Keras clips the gradient of each replica before their sum is taken, which does not clip the sum's norm",
        f"--accumulate_steps={config.accumulate_steps}": config.accumulate_steps > 1
        and "Keras cannot accumulate gradients across replicas; use a larger --batch_size instead",
        "--jit_compile=true": config.jit_compile == "true"
        and "XLA cannot compile a step that exchanges gradients between replicas; use --jit_compile=auto",
    }
    for setting, reason in reasons.items():
        if reason:
            raise UserError(f"{setting} does not work with {replicas} replicas: {reason}.")


def is_chief() -> bool:
    """Return whether this process is the chief of distributed TensorFlow training.

    In a cluster without a chief, the first worker is the chief. The chief alone writes the run's files.
    """
    task, cluster = read_cluster().get("task", {}), read_cluster().get("cluster", {})
    return task.get("type") == "chief" or (task.get("index", 0) == 0 and "chief" not in cluster)


def is_multi_worker(strategy: tf.distribute.Strategy | None) -> bool:
    """Return whether a `tf.distribute` strategy trains one model in several processes.

    All of these must read and write its variables together.
    """
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def any_worker(strategy: tf.distribute.Strategy, flag: bool) -> bool:
    """Return the logical OR of a boolean over all worker processes of distributed training.

    An all-reduce: every worker must call it, and all wait for the last one.
    """
    if not is_multi_worker(strategy):
        return flag
    return float(strategy.reduce("SUM", tf.constant(float(flag)), axis=None)) > 0


@contextmanager
def chief_first(strategy: tf.distribute.Strategy, chief: bool) -> Iterator[None]:
    """Run a `with` block first on the chief process of distributed training, then on all other processes.

    The other processes wait for the chief.
    """
    if not chief:
        any_worker(strategy, False)  # waits for the chief
    yield
    if chief:
        any_worker(strategy, False)


@contextmanager
def worker_failure_as_user_error(strategy: tf.distribute.Strategy, run: RunDirectory) -> Iterator[None]:
    """Convert TensorFlow errors about lost worker processes into a `UserError` that explains how to resume."""
    try:
        yield
    except tf.errors.OpError as error:
        if not is_multi_worker(strategy):
            raise
        raise UserError(
            f"The workers lost their connection: {error.message.splitlines()[0]}. Start all of them again with "
            f"--resume={run.path}.",
            status=1,
        ) from error


def shard_for_workers(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Configure a `tf.data.Dataset` to split its examples among the processes of distributed training.

    Each worker reads the whole data set and skips the elements of the others.
    """
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options)


def validation_batches(
    dataset: Dataset, replicas: int, one_hot: int | None = None, report: Callable[[str], None] | None = None
) -> tf.data.Dataset:
    """Return the validation data as a `tf.data.Dataset` of batches.

    Several replicas get batches of equal sizes, which leave out the last few images.

    Args:
        dataset: the data set with the validation split.
        replicas: number of replicas that share a batch.
        one_hot: number of classes, for labels as (batch, classes); None keeps integer labels (batch,).
        report: function that receives a line about images that are left out; None reports nothing.

    Raises:
        UserError: there are fewer images than replicas.
    """
    split, size = dataset.validation, PREDICT_BATCH
    if replicas > 1:
        share = len(split) // replicas
        if not share:
            raise UserError(
                f"{counted(len(split), 'validation image')} cannot be divided among {replicas} replicas. Use fewer "
                "replicas, or a larger --validation_fraction."
            )
        batches = -(-share * replicas // PREDICT_BATCH)
        size = share // batches * replicas
        if report is not None and (left_out := len(split) - batches * size):
            report(f"validation leaves out {counted(left_out, 'image')}: {replicas} replicas take {batches} x {size}")
        split = split.take(range(batches * size))
    return shard_for_workers(evaluation_batches(split, size, dataset.views.test, one_hot))


def _worker_count() -> int:
    return sum(len(read_cluster().get("cluster", {}).get(kind, ())) for kind in ("chief", "worker"))


def _multi_worker_strategy() -> tf.distribute.Strategy:
    if not _worker_count():  # TensorFlow would train in this process alone, without a message
        raise UserError(
            "--strategy=multi_worker needs the environment variable TF_CONFIG in every process, such as "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}.'
        )
    tf.get_logger().setLevel("WARNING")  # the INFO level logs every all-reduce between the workers
    return tf.distribute.MultiWorkerMirroredStrategy()


def _devices(replicas: int | None) -> list[str]:
    """Return the names of the devices to train on: GPUs, or logical CPU devices if there is no GPU."""
    gpus = len(tf.config.list_physical_devices("GPU"))
    if gpus:
        if (replicas or gpus) > gpus:
            raise UserError(f"--replicas={replicas}: this machine has {gpus} GPUs. Ask for at most {gpus}.")
        return [f"GPU:{i}" for i in range(replicas or gpus)]
    if replicas is None:
        raise UserError(
            "--strategy=mirrored finds no GPU. To try it on the CPU, name the number of replicas: --replicas=2."
        )
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    except RuntimeError:  # TensorFlow has created its devices already
        if len(tf.config.list_logical_devices("CPU")) != replicas:
            raise UserError(
                f"TensorFlow has created its devices already, and they are not {replicas} parts of the CPU. Start a "
                "new process."
            ) from None
    return [f"CPU:{i}" for i in range(replicas)]
