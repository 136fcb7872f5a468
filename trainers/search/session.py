"""One process's part in a search: the chief's, which draws settings and trains nothing, or a worker's."""

import keras_tuner

from .. import data
from ..fitting.strategy import prepare
from ..runs.run_directory import RunDirectory
from . import oracles, supervisor
from .plan import PLAN_FILE
from .records import ORACLE_FILE, RECORD_FILE, TRIALS, set_aside_damaged
from .report_sections import described
from .tuner import SearchTuner, TrialModel


def search(plan, run: RunDirectory, role: str, workers: int, silent_seconds: float):
    """Runs what is missing of a search; returns when no trial is left.

    Args:
        plan: its `Plan`.
        run: its folder; what is in it is gone on with.
        role: "alone", or "chief" of workers on several machines.
        workers: processes on this machine.
        silent_seconds: a worker that shows no life for so long is given up.

    Raises:
        UserError: another process searches in this folder, or the workers died.
    """
    with run.locked():
        run.write_json(PLAN_FILE, plan.to_json())
        for told in set_aside_damaged(run.path):
            print(f"damaged: {told}", flush=True)
        _without_gpu()
        made = _tuner(plan, run).oracle
        if run.file(ORACLE_FILE).exists() or list(run.path.glob(TRIALS)):
            made.reload()
        made.told = lambda trial: _print_trial(trial, made, run)
        print(_beginning(plan, made, run), flush=True)
        made.save()
        if role == supervisor.CHIEF:
            supervisor.lead(made, run.path, silent_seconds)
        else:
            supervisor.supervise(made, workers, run.path, silent_seconds)


def work(plan, run: RunDirectory):
    """A worker's part: asks the chief for trials until there is none left."""
    strategy = prepare(plan.config)  # before anything else uses TensorFlow
    most = supervisor.MOST_TRIALS if supervisor.end_with_supervisor() else None
    alive = supervisor.alive_file(run.path)
    _tuner(plan, run, alive=alive, most_trials=most, distribution_strategy=strategy).search()


def _tuner(plan, run, **options) -> SearchTuner:
    dataset = data.load(plan.config)
    space = keras_tuner.HyperParameters()
    plan.space.declare(space, plan.points)
    return SearchTuner(
        oracle=oracles.oracle(
            plan.tuner, space, plan.objective, plan.trials, plan.config.epochs, seed=plan.config.seed
        ),
        hypermodel=TrialModel(dataset, plan.config, plan.space, plan.points),
        directory=str(run.path.parent),
        project_name=run.path.name,
        **options,
    )


def _without_gpu():
    """A chief trains nothing; a GPU is its workers'."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


def _beginning(plan, made, run) -> str:
    ended = len(made.end_order)
    again = f", {ended} of them ended already" if ended else ""
    count = f"{plan.trials} trials" if plan.trials else "trials"
    return (
        f"{plan.config.recipe}: {plan.tuner} search of {', '.join(plan.space.names)}; {count}{again}, "
        f"{plan.config.epochs} epochs each\nsearch:  {run.path}"
    )


def _print_trial(trial, made, run):
    record = RunDirectory(run.path / f"trial_{trial.trial_id}").read_json(RECORD_FILE, "status")
    how = f"failed: {record.get('reason')}"
    if trial.status == "COMPLETED":
        how = f"validation accuracy {record['validation_accuracy']:.2%}, loss {record['validation_loss']:.4f}"
    total = f"/{made.max_trials}" if made.max_trials else ""
    print(
        f"[{len(made.end_order)}{total}] trial {trial.trial_id}: {described(record['settings'])}: {how}, "
        f"{record.get('seconds', 0):.0f} s",
        flush=True,
    )
