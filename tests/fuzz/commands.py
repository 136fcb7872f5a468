"""Runner of generated command lines and configuration files: `python -m tests.fuzz.commands SEED LINES FILES`.

It prints a line for each case that is not refused with a message for people. Keras is not imported, so that a child
process takes milliseconds; a mistake that is found only after Keras's import counts as not refused.
"""

import contextlib
import hashlib
import importlib
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from encapnet_start.deferred_package import DeferredPackage

_LIBRARY = DeferredPackage("encapnet_tf")  # before any import of it

from encapnet_tf.trainers.commands import cli  # noqa: E402

from tests.fuzz.children import Result, in_child  # noqa: E402
from tests.fuzz.command_lines import write_settings, wrong_command_lines, wrong_settings  # noqa: E402

_CONTROL = set(map(chr, range(32))) - {"\n"}
_MOST_CHARACTERS = 2500  # of a line of a message
_ACCEPTED = 77


def run(words: list[str]) -> int:
    """Run a command line up to the import of Keras, and return its status."""

    def accept():
        raise SystemExit(_ACCEPTED)

    sys.argv = ["encapnet", *words]
    return cli._run(cli._parse(sys.argv), accept)


def fault(result: Result) -> str | None:
    """Return what is wrong with the end of a command that must be refused, or None if nothing is."""
    if result.status not in (1, 2):
        return "was accepted" if result.status == _ACCEPTED else f"ended with status {result.status}"
    if "Traceback" in result.output:
        return "printed a traceback"
    if not result.output.strip() or _CONTROL & set(result.output):
        return "printed no message, or control characters"
    is_long = max(map(len, result.output.splitlines())) > _MOST_CHARACTERS
    return "printed a very long line" if is_long else None


def _contents() -> dict:
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in Path().rglob("*") if path.is_file()}


def _write_run() -> None:
    """Write a run without a model, and a file that is no image, for the commands to name."""
    Path("run").mkdir()
    Path("run/config.json").write_text('{"config": {"dataset": "digits", "model": "encapnet"}}')
    Path("run/summary.json").write_text('{"class_names": ["a"], "recipe": "digits"}')
    Path("image.png").write_bytes(b"no image")


def _faults(seed: int, lines: int, files: int) -> Iterable[str]:
    before = _contents()
    for words in wrong_command_lines(seed, lines):
        result = in_child(lambda words=words: run(words))
        if problem := fault(result):
            yield f"{words!r:.300} {problem}: {result.output[-300:]!r}"
    for text in wrong_settings(seed, files):
        write_settings(Path("settings.json"), text)
        result = in_child(lambda: run(["train", "--config=settings.json", "--run_dir=new"]))
        if problem := fault(result):
            yield f"{text!r:.300} {problem}: {result.output[-300:]!r}"
    Path("settings.json").unlink(missing_ok=True)
    if _contents() != before:
        yield "files were changed"


def main(seed: int, lines: int, files: int) -> None:
    """Run the cases of a seed in a new folder, and print those that fail."""
    for verb in cli.VERBS:  # once, for all children
        importlib.import_module(cli._MODULES.get(verb, f".{verb}"), cli.__package__)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        _write_run()
        for line in _faults(seed, lines, files):
            print(line, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
