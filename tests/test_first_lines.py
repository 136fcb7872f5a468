"""Style of the first lines of docstrings: the rules of CONTRIBUTING that can be checked without reading the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("encapnet_start", "encapnet_tf", "trainers", "export", "benchmarks", "docs")

RELATIVE = {"What", "Whatever", "Whether", "Which", "Whichever", "Where", "Who", "Whose", "How", "When", "While"}
PRONOUNS = {"It", "Its", "This", "These", "That", "Those", "They", "Their", "He", "She", "We", "Our", "Ours"}
DETERMINERS = {"A", "An", "The", "Each", "Every", "All", "Any", "Both", "One", "Two", "No", "Some", "Several", "Many"}
DETERMINERS |= {"Everything", "Nothing"}
PREPOSITIONS = {"As", "At", "By", "For", "From", "In", "Of", "On", "To", "With", "Without", "Under", "Beside", "Per"}
PARTICIPLES = {
    *("Begun", "Bound", "Brought", "Built", "Caught", "Chosen", "Done", "Drawn", "Found", "Given", "Gone", "Held"),
    *("Kept", "Known", "Left", "Lost", "Made", "Meant", "Seen", "Sent", "Shown", "Taken", "Told", "Thrown", "Written"),
}
VERBS_LIKE_PARTICIPLES = {"Embed", "Exceed", "Feed", "Need", "Proceed", "Seed", "Shed", "Shred", "Speed", "Succeed"}
VERBS_LIKE_PLURALS = {"Alias", "Bias", "Focus"}
TERMS = {"capConv"}
VERBS_LIKE_GERUNDS = {"Bring", "Ring", "Sing", "String", "Swing"}
PHRASES = re.compile(r"\b(told|anew|as said|as ever|goes on|going on|the verb|made again|what is)\b")


def faults(kind: str, line: str) -> list[str]:
    """Return the broken rules of a first line.

    Args:
        kind: "function" for functions and methods; "thing" for modules, classes and properties.
        line: first line of the docstring.
    """
    word = re.match(r"[^\s,.:;]*", line)[0]
    rules = {
        "does not begin with a capital letter": not word[:1].isupper() and word not in TERMS,
        "begins with a relative clause": word in RELATIVE,
        "begins with a pronoun": word in PRONOUNS,
        "begins with a participle": _is_participle(word) and (kind == "function" or _stands_alone(word, line)),
        "begins with a possessive": word.endswith(("'s", "s'")),
        "has a semicolon": ";" in line,
        "does not end with a full stop": not line.endswith("."),
        "has a private phrase": bool(PHRASES.search(line)),
    }
    if kind == "function":
        rules |= {
            "begins with a noun phrase, not a verb": word in DETERMINERS | PREPOSITIONS,
            "begins with a verb in the third person, or a plural": _ends_in_s(word),
            "begins with a gerund": word.endswith("ing") and word not in VERBS_LIKE_GERUNDS,
        }
    return [rule for rule, broken in rules.items() if broken]


def _is_participle(word: str) -> bool:
    return word in PARTICIPLES or (word.endswith("ed") and word not in VERBS_LIKE_PARTICIPLES)


def _stands_alone(word: str, line: str) -> bool:
    """Return whether no noun follows the participle, as in "Made of ...", unlike "Grouped convolution"."""
    following = re.match(r"\s*(\w+)|", line[len(word) :])[1]
    return following is None or following.capitalize() in PREPOSITIONS | RELATIVE | {"And", "Or", "If", "Once"}


def _ends_in_s(word: str) -> bool:
    return bool(re.search(r"[^s']s$", word)) and word not in VERBS_LIKE_PLURALS


def first_lines(path: Path) -> Iterator[tuple[str, int, str]]:
    """Yield (kind, line number, first line) of the docstrings in a source file, private ones included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        can_have_docstring = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if can_have_docstring and (docstring := ast.get_docstring(node)):
            yield _kind(node), getattr(node, "lineno", 1), docstring.splitlines()[0]


def _kind(node) -> str:
    decorators = {ast.unparse(decorator) for decorator in getattr(node, "decorator_list", ())}
    is_property = decorators & {"property", "functools.cached_property", "cached_property"}
    return "thing" if isinstance(node, (ast.Module, ast.ClassDef)) or is_property else "function"


def sources() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def test_first_lines_follow_the_style():
    lines = [(path.relative_to(ROOT), *line) for path in sources() for line in first_lines(path)]
    broken = [f"{path}:{n}: {', '.join(f)}: {line}" for path, kind, n, line in lines if (f := faults(kind, line))]
    assert not broken, "\n" + "\n".join(broken)


def test_first_lines_are_found():
    names = {path.relative_to(ROOT).parts[0] for path in sources() if any(first_lines(path))}
    assert names == set(FOLDERS)
    kinds = [kind for kind, _, _ in first_lines(ROOT / "encapnet_tf" / "layers" / "cap_conv2d.py")]
    assert {"function", "thing"} == set(kinds)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("function", "Return whether a chain of augmentations mixes the labels of images."),
        ("function", "Embed the images in a grid."),
        ("function", "Pass the batch through the network."),
        ("thing", "Votes of the lower capsules for the higher ones."),
        ("thing", "The folder of a run."),
        ("thing", "Grouped convolution that trains fast on a CPU."),
        ("thing", "capConv layer: a master and an aide branch in place of routing."),
    ],
)
def test_a_good_line_passes(kind, line):
    assert faults(kind, line) == []


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("function", "What is not finite in a batch."),
        ("function", "Whether a worker received STOPPED."),
        ("function", "The path of the newest checkpoint."),
        ("function", "Writes the file."),
        ("function", "(batch, classes) lengths of the capsules."),
        ("function", "Return the file; it may be missing."),
        ("function", "Return the file"),
        ("thing", "Made of two branches."),
        ("thing", "KerasTuner's trials in a folder."),
        ("thing", "Its own errors."),
        ("thing", "Raised when a file is damaged."),
    ],
)
def test_a_wrong_line_is_reported(kind, line):
    assert faults(kind, line)
