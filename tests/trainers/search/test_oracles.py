"""Crash-safe oracles: they keep what KerasTuner loses. Trials report numbers here; nothing is trained."""

import json
import threading

import keras_tuner
import numpy as np
import pytest
from encapnet_tf.trainers.search import oracles
from encapnet_tf.trainers.search.plan import TUNERS
from encapnet_tf.trainers.search.space import Space
from threadpoolctl import threadpool_limits

SPACE = Space.parse("lambda,epsilon")


@pytest.fixture(autouse=True)
def _one_blas_thread():
    """Matrices here are tiny: the threads of BLAS would wait for each other four times as long as they compute."""
    with threadpool_limits(1):
        yield


def create(folder, kind="random", trials=6, seed=0):
    hp = keras_tuner.HyperParameters()
    SPACE.declare(hp, 3 if kind == "grid" else None)
    oracle = oracles.create_oracle(kind, hp, objective="val_accuracy", trials=trials, epochs=4, seed=seed)
    oracle._set_project_dir(str(folder), "search")
    return oracle


def resume(folder, **options):
    oracle = create(folder, **options)
    oracle.reload()
    return oracle


def begin(oracle, worker="tuner0"):
    return oracle.create_trial(worker)


def end(oracle, trial, accuracy=0.5):
    if accuracy is None:
        trial.status, trial.message = "FAILED", "made to"
    else:
        oracle.update_trial(trial.trial_id, {"val_accuracy": accuracy})
        trial.status = "COMPLETED"
    oracle.end_trial(trial)


def run(oracle, most=1000):
    """Run trials until the oracle stops or `most` have ended; return their ids."""
    ids = []
    while len(ids) < most and (trial := begin(oracle)).status == "RUNNING":
        ids.append(trial.trial_id)
        end(oracle, trial, 0.1 + 0.01 * len(ids))
    return ids


def values(oracle):
    return [tuple(trial.hyperparameters.values[name] for name in SPACE.names) for trial in oracle.trials.values()]


@pytest.mark.parametrize(("kind", "trials", "most"), [("random", 6, 6), ("bayesian", 9, 9), ("grid", None, 9)])
def test_a_stopped_search_goes_on_and_repeats_nothing(tmp_path, kind, trials, most):
    first = run(create(tmp_path, kind, trials), most=4)
    oracle = resume(tmp_path, kind=kind, trials=trials)
    second = run(oracle)
    assert not set(first) & set(second)
    assert len(first + second) == len(oracle.trials) == most
    assert len(set(values(oracle))) == most


def test_hyperband_goes_on(tmp_path):
    whole = run(create(tmp_path / "whole", "hyperband", None))
    first = run(create(tmp_path, "hyperband", None), most=5)
    second = run(resume(tmp_path, kind="hyperband", trials=None))
    assert sorted(first + second) == sorted(whole)


def test_bayesian_search_with_trials_running_and_without_a_model(tmp_path, monkeypatch):
    oracle = create(tmp_path, "bayesian", 12)
    run(oracle, most=6)
    one, other = begin(oracle, "one"), begin(oracle, "other")
    assert one.hyperparameters.values != other.hyperparameters.values

    def refuse(*_):
        raise np.linalg.LinAlgError("not positive definite")

    monkeypatch.setattr(oracle.gpr, "fit", refuse)
    assert begin(oracle, "third").status == "RUNNING"


def test_a_seed_of_0_is_a_seed(tmp_path):
    one, other = create(tmp_path / "1"), create(tmp_path / "2")
    run(one)
    run(other)
    assert values(one) == values(other)


def test_an_interrupted_trial_is_run_again_first(tmp_path):
    oracle = create(tmp_path)
    run(oracle, most=2)
    interrupted = begin(oracle)
    oracle.update_trial(interrupted.trial_id, {"val_accuracy": 0.99})  # reported, but not ended
    oracle = resume(tmp_path)
    retry = begin(oracle)
    assert retry.trial_id == interrupted.trial_id
    assert retry.hyperparameters.values == interrupted.hyperparameters.values
    end(oracle, retry, 0.2)
    assert oracle.get_trial(interrupted.trial_id).score == 0.2


def test_a_trial_that_the_list_does_not_know_is_run_too(tmp_path):
    """Killed between writing the trial and writing the oracle."""
    oracle = create(tmp_path)
    run(oracle, most=2)
    before = (tmp_path / "search/oracle.json").read_text()
    lost = begin(oracle)
    (tmp_path / "search/oracle.json").write_text(before)
    oracle = resume(tmp_path)
    assert run(oracle)[0] == lost.trial_id
    assert len(set(values(oracle))) == len(oracle.trials) == 6


@pytest.mark.parametrize("kind", TUNERS)
@pytest.mark.parametrize("other_file", ["", "oracle.json"])
def test_a_lost_trial_is_run_again_under_its_name(tmp_path, kind, other_file):
    """KerasTuner would give its successor the name of another trial, and overwrite that."""
    trials = None if kind == "hyperband" else 6
    oracle = create(tmp_path, kind, trials)
    names = run(oracle, most=4)
    lost = oracle.get_trial(names[1]).hyperparameters.values
    (tmp_path / "search" / f"trial_{names[1]}" / "trial.json").unlink()
    if other_file:
        (tmp_path / "search" / other_file).unlink()
    oracle = resume(tmp_path, kind=kind, trials=trials)
    retry = begin(oracle)
    assert retry.trial_id == names[1]
    if not other_file:
        assert retry.hyperparameters.values == lost
    end(oracle, retry)
    assert not set(run(oracle)) & set(names)
    if kind != "hyperband":
        assert len(oracle.trials) == 6


def test_files_are_whole_or_absent(tmp_path, monkeypatch):
    oracle = create(tmp_path)
    run(oracle, most=1)
    before = (tmp_path / "search/oracle.json").read_text()
    monkeypatch.setattr("os.replace", lambda *paths: (_ for _ in ()).throw(OSError("killed")))
    with pytest.raises(OSError, match="killed"):
        oracle.save()
    assert (tmp_path / "search/oracle.json").read_text() == before
    assert json.loads(before)["values"]["0"]


def test_many_failures_in_a_row_end_nothing(tmp_path):
    oracle = create(tmp_path)
    ended = []
    oracle.on_trial_ended = ended.append
    for _ in range(5):
        end(oracle, begin(oracle), None)
    assert [trial.status for trial in ended] == ["FAILED"] * 5
    assert begin(oracle).status == "RUNNING"


def test_nobody_goes_home_while_a_trial_runs(tmp_path):
    """It may have to be run again by whoever is left."""
    oracle = create(tmp_path, trials=1)
    trial = begin(oracle, "one")
    assert begin(oracle, "other").status == "IDLE"
    assert not oracle.finished
    trial.status = "INVALID"  # its worker died
    oracle.end_trial(trial)
    retry = begin(oracle, "other")
    assert retry.trial_id == trial.trial_id
    end(oracle, retry)
    assert begin(oracle, "other").status == "STOPPED"
    assert oracle.finished


def test_served_to_two_workers_by_kerastuners_own_client(tmp_path, monkeypatch):
    """No trial is lost or doubled, and values come back as they were drawn."""
    from keras_tuner.src.distribute.oracle_client import OracleClient

    oracle = create(tmp_path, "grid", None)
    server, port = oracles.serve(oracle, "127.0.0.1:0")
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(port))
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker")
    trial_ids = []

    def work(name):
        client = OracleClient(oracle)
        while (trial := client.create_trial(name)).status != "STOPPED":
            if trial.status == "RUNNING":
                trial_ids.append(trial.trial_id)
                client.update_trial(trial.trial_id, {"val_accuracy": 0.5})
                trial.status = "COMPLETED"
                client.end_trial(trial)

    try:
        threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in ("one", "other")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
    finally:
        server.stop(None)
    assert len(trial_ids) == len(set(trial_ids)) == len(set(values(oracle))) == 9
    assert {weight for weight, _ in values(oracle)} == {0.01, 0.3162, 10.0}


def test_a_taken_address_is_refused(tmp_path):
    server, port = oracles.serve(create(tmp_path), "127.0.0.1:0")
    with pytest.raises(RuntimeError):
        oracles.serve(create(tmp_path), f"127.0.0.1:{port}")
    server.stop(None)
