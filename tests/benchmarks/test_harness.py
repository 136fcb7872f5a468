"""Timing, worker processes and reports, tested with contestants of known duration."""

import json

import pytest

from benchmarks.harness.arguments import argument_parser
from benchmarks.harness.contestant import Contestant, NotRun, Timing
from benchmarks.harness.processes import Processes
from benchmarks.harness.report import Claim, Report, json_text, markdown_table
from benchmarks.harness.timing import fastest, measure, median, peak_memory, ratio
from benchmarks.harness.worker import HIDDEN


def toy(name, function="sleeper", worker="", slow=False, **arguments):
    return Contestant(name, f"tests.benchmarks.toys:{function}", arguments, worker, slow=slow)


def timing(*seconds):
    return Timing(seconds, 1, {})


def test_rounds_are_interleaved(tmp_path):
    log = tmp_path / "log"
    names = ("a", "b", "c")
    contestants = [toy(n, seconds=0.04, log=str(log), word=n, worker="shared" if n != "c" else "") for n in names]
    results = measure(contestants, rounds=3)
    lines = log.read_text().split()
    assert lines[:6] == ["a", "a", "b", "b", "c", "c"], "each is compiled and calibrated first"
    assert lines[6:] == ["a", "b", "c"] * 3
    assert list(results) == list(names)
    assert all(len(result.seconds) == 3 and result.repetitions == 1 for result in results.values())


def test_times_are_of_one_repetition():
    results = measure([toy("short", seconds=0.005), toy("long", seconds=0.05, facts={"digits": 7})], rounds=3)
    assert results["short"].repetitions > 1
    assert 0.005 <= median(results["short"]) < 0.03
    assert 0.05 <= median(results["long"]) < 0.1
    assert results["long"].facts == {"digits": 7}
    assert fastest(results) == "short"


def test_a_slow_contestant_is_timed_once(tmp_path):
    log = tmp_path / "log"
    slow = toy("slow", seconds=0.0, log=str(log), word="slow", slow=True)
    results = measure([slow, toy("fast", seconds=0.03)], rounds=3)
    assert len(results["slow"].seconds) == 1
    assert log.read_text().split() == ["slow"] * 2, "once to compile, once timed"
    assert ratio(results["slow"], results["fast"])


def test_a_hidden_package_is_not_installed():
    hidden = Contestant("hidden", "tests.benchmarks.toys:needs_wave", environment={HIDDEN: "a_package,wave"})
    visible = Contestant("visible", "tests.benchmarks.toys:needs_wave")
    results = measure([hidden, visible], rounds=1)
    assert "wave is hidden" in results["hidden"].reason
    assert isinstance(results["visible"], Timing)


def test_a_failure_is_reported_and_the_others_go_on():
    contestants = [
        toy("absent", "not_installed"),
        toy("misspelt", "no_such_function"),
        toy("raises", "fails_later"),
        toy("dies", "dies"),
        toy("prints", "chatty"),
        toy("well", seconds=0.0),
    ]
    results = measure(contestants, rounds=2)
    assert "a_package_that_does_not_exist" in results["absent"].reason
    assert "no_such_function" in results["misspelt"].reason
    assert results["raises"] == NotRun("ValueError: what happened")
    assert "exit code 3" in results["dies"].reason
    assert median(results["prints"]) >= 0
    assert len(results["well"].seconds) == 2


def test_a_worker_that_hangs_is_killed():
    with Processes(time_limit=0.5) as processes:
        results = measure([toy("hangs", seconds=60.0), toy("well", seconds=0.0)], 1, processes)
    assert results["hangs"] == NotRun("took longer than 0.5 s")
    assert isinstance(results["well"], Timing)


def test_a_worker_that_takes_too_much_memory_is_killed():
    hungry = toy("hungry", "memory_hog", mebibytes=300, seconds=1.0)
    with Processes(memory_limit=200 << 20) as processes:
        assert measure([hungry], 1, processes)["hungry"] == NotRun("took more than 0.2 GiB")


def test_peak_memory_is_of_the_contestant_alone():
    small, large = (peak_memory(toy("memory", "memory_hog", mebibytes=m)) for m in (1, 50))
    assert 3 * 45 < (large["resident"] - small["resident"]) / 2**20 < 3 * 60
    assert peak_memory(toy("dies", "dies")).reason


def test_medians_and_ratios():
    a, b = timing(1.0, 2.0, 9.0), timing(1.0, 4.0, 3.0)
    assert median(a) == 2.0
    assert ratio(a, b) == (2 / 3, 1.0)
    assert ratio(a, NotRun("no")) is None
    assert median(NotRun("no")) is None
    assert fastest({"a": a, "b": timing(1.0), "c": NotRun("no")}) == "b"
    assert fastest({"c": NotRun("no")}) is None


@pytest.mark.parametrize(
    ("claim", "holds", "text"),
    [
        (Claim("x", 1.0, 1.5), True, "holds"),
        (Claim("x", 2.0, 1.5), False, "misses"),
        (Claim("x", 0.8, 0.75, at_least=True), True, "holds"),
        (Claim("x", 0.7, 0.75, at_least=True), False, "misses"),
        (Claim("x", None, 1.5, reason="not in this version"), None, "not run: not in this version"),
    ],
)
def test_claims(claim, holds, text):
    assert claim.holds is holds
    assert text in str(claim)


def test_markdown_table():
    table = markdown_table([{"a": 1, "b": 1234.5}, {"a": 0.12345, "c": None}])
    assert table.splitlines() == ["| a | b | c |", "| --- | --- | --- |", "| 1 | 1,234 | – |", "| 0.123 | – | – |"]


def test_a_report_summarises_rounds_and_keeps_reasons(tmp_path, capsys):
    report = Report("toy", "Toys", "What is measured.", quick=True)
    report.case({"size": 1}, {"ours": timing(0.1, 0.3, 0.2), "theirs": NotRun("not installed")})
    report.table([{"size": 1, "ours": 200.0}], "Forward")
    report.claim("ours / theirs", 2.0, 1.5)
    report.write(tmp_path / "new")
    data = json.loads((tmp_path / "new" / "toy.json").read_text())
    ours = data["cases"][0]["results"]["ours"]
    assert ours == {
        "median": 0.2,
        "quartiles": pytest.approx([0.15, 0.25]),
        "min": 0.1,
        "max": 0.3,
        "rounds": 3,
        "repetitions": 1,
        "facts": {},
    }
    assert data["cases"][0]["results"]["theirs"] == {"reason": "not installed"}
    assert data["claims"][0]["holds"] is False
    assert {"command", "date", "cpu", "cores", "memory_gib", "versions"} <= set(data)
    text = (tmp_path / "new" / "toy.md").read_text()
    for part in (
        "# Toys",
        "| 1 | 200 |",
        "theirs: not run: not installed",
        "no figure here means anything",
        "misses",
        data["cpu"],
        data["date"],
    ):
        assert part in text, part
    assert "misses" in capsys.readouterr().out


def test_one_round_has_quartiles_too():
    assert timing(0.5).summary()["quartiles"] == [0.5, 0.5]


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"a": [], "b": {}, "c": [1, None]},
        {
            "cases": [
                {"case": {"x": 1}, "results": {"ours": {"quartiles": [1, 2], "facts": {}}, "theirs": {"reason": ""}}}
            ]
        },
    ],
)
def test_json_text_is_json(value):
    assert json.loads(json_text(value)) == value


def test_json_text_puts_a_result_on_a_line():
    results = {name: {"quartiles": [1, 2]} for name in ("ours", "theirs")}
    lines = json_text({"cases": [{"case": {"x": 1, "y": 2}, "results": results}]}).splitlines()
    assert '   "case": {"x": 1, "y": 2},' in lines
    assert '    "ours": {"quartiles": [1, 2]},' in lines


def test_unknown_flags_are_refused(capsys):
    with pytest.raises(SystemExit):
        argument_parser("About").parse_args(["--quik"])
    assert "--quik" in capsys.readouterr().err
