"""The gate of the command line: every path and number is checked, empty words are refused, output is escaped."""

import argparse
import contextlib
import errno
import os
import signal
import sys
from types import SimpleNamespace

import pytest
from encapnet_tf.trainers.commands import cli
from encapnet_tf.trainers.config.schema import settings
from encapnet_tf.trainers.config.setting import kind_of
from encapnet_tf.trainers.runs.disk_errors import disk_error
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.lasting_output import LastingOutput, outlasting_the_terminal
from encapnet_tf.trainers.runs.terminal import markdown_text, printable, printable_lines

# Arguments that are text and no path. `paths` of predict and `images` are patterns, which are checked one by one.
TEXTS = {"rows", "search", "name", "tflite", "url", "class_name", "images", "paths", "dataset", "recipe"}


def _arguments():
    """Return (verb, argument) for every flag and positional argument of every verb."""
    for verb in cli.VERBS:
        for action in ("check", "prepare", "h_imagenet", "hardest") if verb == "data" else (None,):
            with contextlib.suppress(SystemExit):
                parsers = []
                add = argparse.ArgumentParser.add_argument

                def record(self, *names, parsers=parsers, add=add, **options):
                    parsers.append((names, add(self, *names, **options)))
                    return parsers[-1][1]

                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(argparse._ActionsContainer, "add_argument", record)
                    patch.setattr(sys, "stderr", open(os.devnull, "w"))  # noqa: SIM115
                    cli._parse(["encapnet", verb, *filter(None, (action,)), "--no_such_flag"])
            yield from ((verb, argument) for _, argument in parsers)


def test_every_path_and_number_of_every_verb_is_checked():
    """A new argument has a type with bounds, the type of paths, or a line in `TEXTS`."""
    seen = set()
    for verb, argument in _arguments():
        if argument.nargs == 0 or argument.choices is not None or argument.dest in ("verb", "action"):
            continue
        is_setting = argument.dest in {setting.name for setting in settings()}
        has_check = getattr(argument.type, "kind", None) in ("path", "number")
        assert is_setting or has_check or argument.dest in TEXTS, f"{verb} {argument.dest} is not checked"
        seen.add((verb, argument.dest))
    assert len(seen) > 100


def test_every_number_among_the_settings_has_two_bounds():
    for setting in settings():
        if kind_of(setting).item in (int, float):
            assert None not in (setting.metadata["least"], setting.metadata["most"]), setting.name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", ""], "An argument is empty"),
        (["train", "--out=--"], "--out=--: the flag has no value"),
        (["train", "--recipe=--"], "the flag has no value"),
        (["tune", "--search="], "--search=: the flag has no value"),
        (["tune", "--search=,"], "a setting or its range is missing"),
        (["tune", "--search=epsilon="], "a setting or its range is missing"),
        (["ablate", "--rows=,"], "a row has no name"),
        (["ablate", "--rows="], "--rows=: the flag has no value"),
        (["train", "--epochs=99999999999999999999999"], "expected at most 1000000"),
        (["train", f"--epochs={'9' * 400}"], "expected at most 1000000"),
        (["train", f"--epochs={'9' * 5000}"], "must be an integer"),
        (["train", "--num_capsules=1000000000"], "expected at most 65536"),
        (["train", "--image_size=100000"], "expected at most 16384"),
        (["train", "--replicas=1000000"], "expected at most 1024"),
        (["train", "--learning_rate=nan"], "expected a finite number"),
        (["train", "--learning_rate=inf"], "expected a finite number"),
        (["train", f"--depths={'1,' * 1500}1"], "expected at most 1000 items"),
        (["tune", "--silent_minutes=nan"], "--silent_minutes=nan: expected a finite number"),
        (["tune", "--workers=99999999"], "--workers=99999999: expected at most 1024"),
        (["ablate", "--seeds=1e9"], "--seeds=1e9: must be an integer"),
        (["evaluate", "--images=0", "run"], "--images=0: expected at least 1"),
        (["predict", "--timeout=nan", "--url=x", "image"], "--timeout=nan: expected a finite number"),
        (["train", f"--run_dir={'a' * 300}"], "the path is too long"),
        (["train", f"--config={'a' * 300}"], "the path is too long"),
        (["train", "--data_dir=a\nb", "--dataset=folder"], "has control characters"),
        (["report", "a\x1b[31m"], r"a\x1b[31m: the path has control characters"),
        (["runs", "a\udcff"], "not valid UTF-8"),
        (["train", "--init_weights=/dev/zero"], "a device or a pipe"),
        (["train", "--config=/dev/zero"], "a device or a pipe"),
        (["export", "/dev/null/run"], "a part of it is a file and no folder"),
    ],
)
def test_one_sentence_and_status_2(encapnet, tmp_path, arguments, message):
    result = encapnet(*arguments)
    assert result.status == 2
    assert message in result.stderr
    assert len(result.stderr) < 2000
    assert not set(result.stderr) & set(map(chr, range(32))) - {"\n"}
    assert not list(tmp_path.iterdir())


def test_what_cannot_fit_into_memory_is_refused_before_it_is_allocated(encapnet, tmp_path):
    result = encapnet("train", "--num_capsules=60000", "--batch_size=16", "--run_dir=run")
    assert result.status == 2
    assert "weights with the optimizer's variables and one batch of 16 images of 8x8x1 need" in result.stderr
    result = encapnet("train", "--num_capsules=2", "--batch_size=1048576", "--image_size=16384", "--train_limit=200")
    assert result.status == 2
    assert not list(tmp_path.iterdir())


def test_a_flag_without_effect_is_told(encapnet):
    for arguments, message in [
        (["--epsilon=2"], "--epsilon=2.0 has no effect with --feedback=none. It is used with --feedback=half, same or"),
        (["--milestones=3"], "--milestones=3 has no effect with --schedule=cosine. It is used with --schedule=step."),
        (["--color_mode=rgb"], "--color_mode=rgb has no effect with --dataset=digits."),
        (["--feedback=two", "--epsilon=2"], ""),
    ]:
        args = cli._parse(["encapnet", "train", *arguments])
        with contextlib.redirect_stderr(SimpleNamespace(write=(lines := []).append, flush=lambda: None)):
            args.check(args)
        assert "".join(lines).startswith(message)
        assert bool(lines) == bool(message)


def test_foreign_text_is_escaped():
    hostile = "a\x1b]0;title\x07\nb\u202egnp.exe\udcff\x9b"
    assert printable(hostile) == "a\\x1b]0;title\\x07\\nb\\u202egnp.exe\\udcff\\x9b"
    assert printable("größe 文字 🙂") == "größe 文字 🙂"
    assert printable_lines("one\n\ttwo\r" + "x" * 5000).startswith("one\n\\ttwo\\rxxx")
    assert len(printable_lines("x" * 5000)) < 2000
    assert markdown_text("[a](b)|<c>\n") == "\\[a\\]\\(b\\)\\|\\<c\\>\\\\n"


def _run(error, capsys, verb="report"):
    args = cli._parse(["encapnet", "report", "run"])
    args.check, args.needs_keras, args.main = None, False, lambda args: (_ for _ in ()).throw(error)
    return cli._run(args), capsys.readouterr().err


def test_errors_of_the_disk_are_sentences_that_say_what_is_safe(capsys):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), ".0123abcd-page.html")  # written aside, then renamed
    assert _run(full, capsys) == (
        1,
        "encapnet report: page.html cannot be read or written: No space left on device. Runs and earlier reports are "
        "as they were.\n",
    )
    status, message = _run(RuntimeError("Unable to write: file write failed: errno = 28"), capsys)
    assert (status, message.split(".")[0]) == (1, "encapnet report: A file cannot be written: No space left on device")
    with pytest.raises(OSError, match="of a bug"):
        _run(OSError(errno.EBADF, "of a bug"), capsys)
    assert disk_error(ValueError("something else")) is None


def test_output_to_a_full_disk_is_a_sentence(capsys, monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        args = cli._parse(["encapnet", "report", "run"])
        args.check, args.needs_keras, args.main = None, False, lambda args: print("x" * 100)
        assert cli._run(args) == 1
    assert "No space left on device" in capsys.readouterr().err


def test_long_commands_outlast_their_terminal():
    read_end, write_end = os.pipe()
    os.close(read_end)
    before = signal.getsignal(signal.SIGHUP)
    with open(write_end, "w") as gone, contextlib.redirect_stdout(gone), outlasting_the_terminal():
        assert isinstance(sys.stdout, LastingOutput)
        print("x" * 100_000)
        sys.stdout.flush()
        print("and on")
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN or before is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGHUP) is before
    for verb in ("train", "tune", "ablate"):
        assert cli._parse(["encapnet", verb]).outlasts_terminal


def test_user_errors_keep_their_lines(capsys):
    status, message = _run(UserError("two files:\na\x1b[31m"), capsys)
    assert (status, message) == (2, "encapnet report: two files:\na\\x1b[31m\n")
