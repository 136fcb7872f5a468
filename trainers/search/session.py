"""Hyper-parameter search in which a chief process chooses settings and worker processes train networks."""

import keras_tuner

from .. import data
from ..config.naming import series_name
from ..fitting.strategy import prepare
from ..runs.atomic_folder import AtomicFolder
from ..runs.counting import counted
from . import roles, supervisor
from .oracles import create_oracle
from .plan import Plan
from .records import ORACLE_FILE, RECORD_FILE, TRIALS, describe_settings, set_aside_damaged
from .trial_lines import TrialLines
from .tuner import SearchTuner, TrialModel


def search(plan: Plan, folder: AtomicFolder, role: str, *, workers: int, silent_seconds: float) -> None:
    """Run the chief process of a new or resumed hyper-parameter search until all trials have ended.

    Args:
        plan: the search's plan.
        folder: the search's folder; the trials in it are kept, and unfinished ones run again.
        role: `roles.ALONE`, or `roles.CHIEF` of workers on several machines.
        workers: number of worker processes on this machine, where it is alone.
        silent_seconds: a worker without a heartbeat for this long is given up.

    Raises:
        UserError: another process searches in this folder, or the workers died.
    """
    with folder.locked():
        plan.write(folder)
        for message in set_aside_damaged(folder.path):
            print(f"damaged: {message}", flush=True)
        _hide_gpus()
        oracle = _create_tuner(plan, folder).oracle
        if folder.file(ORACLE_FILE).exists() or list(folder.path.glob(TRIALS)):
            oracle.reload()
        lines = TrialLines(oracle, folder.path)
        oracle.on_trial_ended = lambda trial: _print_result(trial, oracle, folder, lines)
        print(_headline(plan, oracle, folder), flush=True)
        oracle.save()
        if role == roles.CHIEF:
            supervisor.serve_remote_workers(oracle, folder.path, silent_seconds, lines.print_running)
        else:
            supervisor.run_local_workers(
                oracle, folder.path, workers=workers, silent_seconds=silent_seconds, on_poll=lines.print_running
            )


def work(plan: Plan, folder: AtomicFolder) -> None:
    """Run a worker process of a hyper-parameter search, which trains one network per trial until no trial is left.

    Args:
        plan: the search's plan.
        folder: the search's folder.
    """
    strategy = prepare(plan.config)  # before anything else uses TensorFlow
    max_compilations = roles.COMPILATIONS_PER_PROCESS if roles.exit_with_supervisor() else None
    heartbeat = roles.heartbeat_file(folder.path)
    heartbeat.parent.mkdir(parents=True, exist_ok=True)
    tuner = _create_tuner(
        plan, folder, heartbeat=heartbeat, max_compilations=max_compilations, distribution_strategy=strategy
    )
    tuner.search()


def _create_tuner(plan, folder, **options) -> SearchTuner:
    dataset = data.load(plan.config)
    hyperparameters = keras_tuner.HyperParameters()
    plan.space.declare(hyperparameters, plan.points)
    oracle = create_oracle(
        plan.tuner,
        hyperparameters,
        objective=plan.objective,
        trials=plan.trials,
        epochs=plan.config.epochs,
        seed=plan.config.seed,
    )
    return SearchTuner(
        oracle=oracle,
        hypermodel=TrialModel(dataset, plan.config, plan.space, plan.points),
        directory=str(folder.path.parent),
        project_name=folder.path.name,
        **options,
    )


def _hide_gpus():
    """Hide the GPUs from TensorFlow in this process, so that search workers can use all GPU memory."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


def _headline(plan, oracle, folder) -> str:
    count = counted(plan.trials, "trial") if plan.trials else "trials"
    progress = f", {len(oracle.end_order)} of them ended already" if oracle.end_order else ""
    return (
        f"{series_name(plan.config)}: {plan.tuner} search of {', '.join(plan.space.names)}; {count}{progress}, "
        f"{counted(plan.config.epochs, 'epoch')} each\nsearch:  {folder.path}"
    )


def _print_result(trial, oracle, folder, lines):
    """Print the hyper-parameters and the result of a finished trial of a hyper-parameter search."""
    lines.print_trial(trial.trial_id)
    record = AtomicFolder(folder.path / f"trial_{trial.trial_id}").read_json(RECORD_FILE, "status")
    result = f"failed: {record.get('reason')}"
    if trial.status == "COMPLETED":
        result = f"validation accuracy {record['validation_accuracy']:.2%}, loss {record['validation_loss']:.4f}"
    total = f"/{oracle.max_trials}" if oracle.max_trials else ""
    print(
        f"[{len(oracle.end_order)}{total}] trial {trial.trial_id}: {describe_settings(record['settings'])}: {result}, "
        f"{record.get('seconds', 0):.0f} s",
        flush=True,
    )
