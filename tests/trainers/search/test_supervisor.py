"""The supervisor with workers that are one line of Python each: workers that die, hang or ask for a new process."""

import os
import sys
import time
from types import SimpleNamespace

import pytest
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.run_directory import RunDirectory
from encapnet_tf.trainers.search import roles, supervisor
from encapnet_tf.trainers.search.records import RECORD_FILE


class Oracle:
    """An oracle with a running trial for each worker in `ongoing`, finished after `finished_after` seconds."""

    def __init__(self, folder, ongoing=(), finished_after=None):
        self.folder, self.end_order, self.ended, self.tuner_ids = folder, [], [], set()
        self.ongoing_trials = {
            name: SimpleNamespace(
                trial_id="0", status="RUNNING", hyperparameters=SimpleNamespace(values={"epsilon": 1.0})
            )
            for name in ongoing
        }
        self._finish_time = None if finished_after is None else time.monotonic() + finished_after

    @property
    def finished(self):
        return self._finish_time is not None and time.monotonic() > self._finish_time

    def get_trial_path(self, trial_id):
        (self.folder / f"trial_{trial_id}").mkdir(exist_ok=True)
        return self.folder / f"trial_{trial_id}"

    def end_trial(self, trial):
        self.ended.append(trial)
        self.ongoing_trials = {name: one for name, one in self.ongoing_trials.items() if one is not trial}


@pytest.fixture
def workers(monkeypatch):
    """Make every worker run a line of Python; it gets the search's folder as its last argument."""
    monkeypatch.setattr(supervisor, "serve", lambda *_: (SimpleNamespace(stop=lambda grace: None), 1))
    monkeypatch.setattr(supervisor, "_POLL_SECONDS", 0.05)

    def use(code):
        monkeypatch.setattr(supervisor, "_COMMAND", (sys.executable, "-c", code))

    return use


def test_workers_that_die_again_and_again_end_the_search(tmp_path, workers, capsys):
    workers("import sys; sys.exit('no such thing')")
    oracle = Oracle(tmp_path, ongoing=["worker1"])
    with pytest.raises(UserError, match="Every worker died 4 times in a row") as caught:
        supervisor.run_local_workers(oracle, tmp_path, workers=1, silent_seconds=60)
    assert caught.value.status == 1
    assert [trial.status for trial in oracle.ended] == ["INVALID"], "it is handed back once"
    assert (tmp_path / "workers/worker1.log").read_text().count("no such thing") == 4
    record = RunDirectory(tmp_path / "trial_0").read_json(RECORD_FILE)
    assert record["status"] == "failed"
    assert "worker1 died (1)" in record["reason"]
    assert "worker1 died (1)" in capsys.readouterr().out


def test_a_silent_worker_is_replaced(tmp_path, workers):
    workers("import time; time.sleep(100)")
    oracle = Oracle(tmp_path, ongoing=["worker1"])
    with pytest.raises(UserError, match="Every worker died"):
        supervisor.run_local_workers(oracle, tmp_path, workers=1, silent_seconds=0.3)
    assert "no sign of life" in oracle.ended[0].message


def test_life_is_what_counts_not_time(tmp_path, workers):
    sign = "import sys, time, pathlib; p = pathlib.Path(sys.argv[-1].removeprefix('--out='), 'workers/worker1')\n"
    workers(sign + "for _ in range(20): p.with_suffix('.alive').touch(); time.sleep(0.1)")
    oracle = Oracle(tmp_path, finished_after=60)
    with pytest.raises(UserError, match="Every worker died"):  # they end by themselves, the search is not over
        supervisor.run_local_workers(oracle, tmp_path, workers=1, silent_seconds=1.5)
    assert not oracle.ended


def test_a_worker_that_asks_for_a_new_process_gets_one(tmp_path, workers):
    workers(f"import sys; print('started'); sys.exit({roles.EXIT_TO_RESTART})")
    supervisor.run_local_workers(Oracle(tmp_path, finished_after=2), tmp_path, workers=1, silent_seconds=60)
    assert (tmp_path / "workers/worker1.log").read_text().count("started") > 4, "which are no deaths"


def test_nothing_is_left_running(tmp_path, workers, monkeypatch):
    """Whatever breaks in the supervisor, Ctrl-C for one."""
    workers("import os, time; print(os.getpid(), flush=True); time.sleep(100)")
    logs = [tmp_path / f"workers/worker{number}.log" for number in (1, 2)]

    def interrupt(*_):
        if all(log.exists() and log.read_text().endswith("\n") for log in logs):
            raise KeyboardInterrupt

    monkeypatch.setattr(supervisor, "_check_worker", interrupt)
    with pytest.raises(KeyboardInterrupt):
        supervisor.run_local_workers(Oracle(tmp_path), tmp_path, workers=2, silent_seconds=60)
    for log in logs:
        with pytest.raises(ProcessLookupError):
            os.kill(int(log.read_text()), 0)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [({}, "alone"), ({"ID": "chief"}, "chief"), ({"ID": "worker3"}, "worker"), ({"ID": None}, None)],
)
def test_roles_by_kerastuners_variables(monkeypatch, variables, expected):
    for name in ("ORACLE_IP", "ORACLE_PORT", "TUNER_ID"):
        monkeypatch.delenv(f"KERASTUNER_{name}", raising=False)
    if variables:
        monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
        monkeypatch.setenv("KERASTUNER_ORACLE_PORT", "1")
        if variables["ID"]:
            monkeypatch.setenv("KERASTUNER_TUNER_ID", variables["ID"])
    if expected is None:
        with pytest.raises(UserError, match="KERASTUNER_TUNER_ID must be"):
            roles.role()
    else:
        assert roles.role() == expected


def serve_as_chief(folder, monkeypatch, oracle, seconds):
    for name, value in (("ORACLE_IP", "127.0.0.1"), ("ORACLE_PORT", "1"), ("TUNER_ID", "chief")):
        monkeypatch.setenv(f"KERASTUNER_{name}", value)
    supervisor.serve_remote_workers(oracle, folder, seconds)


def test_a_chief_gives_a_silent_workers_trial_to_others(tmp_path, workers, monkeypatch):
    oracle = Oracle(tmp_path, ongoing=["gone"], finished_after=1.5)
    oracle.tuner_ids = {"gone", "other"}
    (tmp_path / "workers").mkdir()
    other = tmp_path / "workers/other.alive"
    other.touch()
    os.utime(other, (time.time() + 60,) * 2)
    monkeypatch.setattr(supervisor, "_SHUTDOWN_SECONDS", 0.1)
    serve_as_chief(tmp_path, monkeypatch, oracle, 0.5)
    assert [trial.status for trial in oracle.ended] == ["INVALID"]
    assert oracle.tuner_ids == {"other"}


def test_a_chief_without_workers_ends(tmp_path, workers, monkeypatch):
    with pytest.raises(UserError, match="No worker is left"):
        serve_as_chief(tmp_path, monkeypatch, Oracle(tmp_path), 0.3)
