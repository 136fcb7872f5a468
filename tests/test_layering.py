"""Imports go one way, read from the sources: between the parts of the core, and between the rooms of the command.

Core: ops <- blocks <- layers, losses <- callbacks, metrics, models, interop. Then the rooms of the command's folders.
"""

import ast
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What each part of the core may import of the others; itself is always allowed.
ALLOWED = {
    "__main__": set(),
    "arguments": set(),
    "keras_private": set(),
    "ops": {"arguments"},
    "blocks": {"arguments", "ops"},
    "layers": {"arguments", "blocks", "keras_private", "ops"},
    "losses": {"arguments", "ops"},
    "metrics": {"losses"},
    "optimizers": {"arguments", "keras_private"},
    "callbacks": {"arguments", "layers", "losses"},
    "model_classes": {"keras_private", "layers", "optimizers"},
    "models": {
        *("arguments", "ops", "blocks", "keras_private", "layers", "losses", "feedback", "model_classes"),
        *("optimizers", "reconstruction", "saving"),
    },
    "interop": {"arguments", "ops", "blocks", "layers", "models"},
    "model_copies": {"keras_private"},
    "functional_models": {"model_copies"},
    "feedback": {"arguments", "blocks", "functional_models", "layers", "model_classes", "model_copies"},
    "reconstruction": {"arguments", "functional_models", "layers", "model_classes", "model_copies"},
    "explain": {"arguments", "functional_models", "keras_private", "layers", "ops", "reconstruction"},
    "weight_counts": set(),
    "model_file_sizes": {"keras_private", "weight_counts"},
    "saving": {"arguments", "keras_private", "model_file_sizes"},
    "__init__": {
        "callbacks",
        "explain",
        "feedback",
        "interop",
        "layers",
        "losses",
        "metrics",
        "models",
        "ops",
        "optimizers",
        "reconstruction",
        "model_file_sizes",
        "saving",
    },
}
# Rooms of the command from the lowest to the highest; each may import those before it.
ROOMS = {
    "trainers": (
        *("runs", "config", "listing"),
        *(
            "data.augmentation",
            "data.composition",
            "data.formats",
            "data.pipeline",
            "data.sources",
            "data",
            "data.sizing",
        ),
        *(
            "evaluation",
            "report",
            "explanation",
            "fitting.checkpoints",
            "fitting",
            "dry_run",
            "ablation",
            "search",
            "commands",
        ),
    ),
    "export": ("serving", "artefacts", "verification", "", "commands"),
}
MOST_FILES = 15  # of a room
THIRD_PARTY_OF_THE_CORE = {"h5py", "keras", "numpy"}  # h5py: Keras needs it to read models, too
# The modules of the core that only one backend loads, and its package; others import them inside functions.
ON_BACKEND = {
    f"encapnet_tf.{room}.on_tensorflow": "tensorflow"
    for room in ("explain", "ops.acceleration", "ops.activation", "ops.convolution", "optimizers")
} | {
    "encapnet_tf.explain.on_jax": "jax",
    "encapnet_tf.explain.on_torch": "torch",
    "encapnet_tf.ops.acceleration.on_jax": "jax",
}
COMMAND = ("__main__", "encapnet_start")  # the file of the core that runs the command, and what it imports
PROGRAM = ("encapnet_start", "encapnet_tf", "trainers", "export", "benchmarks")
FOLDERS = (*PROGRAM, "tests", "examples", "docs")


def sources(*folders):
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_of(path):
    """The dotted name a file is imported by: the trainers and exports are installed inside the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return (*(("encapnet_tf",) if parts and parts[0] in ("trainers", "export") else ()), *parts)


def imports(path, source=None):
    """(dotted name, whether at module level) of everything that a file imports, relative names resolved."""
    tree = ast.parse(source or path.read_text(encoding="utf-8"))
    top = {id(node) for statement in tree.body if not isinstance(statement, FUNCTIONS) for node in ast.walk(statement)}
    package = module_of(path) if path.name == "__init__.py" else module_of(path)[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*base, *([node.module] if node.module else [])))
            yield from ((f"{base}.{alias.name}", id(node) in top) for alias in node.names)


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def part_of(name):
    """The part of the core that a dotted name lies in, or None: encapnet_tf.layers.CapFC -> layers."""
    names = name.split(".")
    if names[0] != "encapnet_tf":
        return None
    return names[1] if len(names) > 1 else "__init__"


def wrong_in_the_core(path, source=None):
    """Imports of a file of the core that the layering forbids."""
    own = path.relative_to(ROOT / "encapnet_tf").with_suffix("").parts[0]
    assert own in ALLOWED, f"say in ALLOWED what {own} may import"
    for name, at_module_level in imports(path, source):
        part, root = part_of(name), name.split(".")[0]
        if part is not None:
            if part != own and part not in ALLOWED[own]:
                yield name
        elif ON_BACKEND.get(".".join(module_of(path))) == root or (own, root) == COMMAND:
            continue
        elif root not in THIRD_PARTY_OF_THE_CORE and root not in sys.stdlib_module_names:
            yield name
        loads_backend = name in ON_BACKEND or name.rpartition(".")[0] in ON_BACKEND
        if loads_backend and at_module_level and ".".join(module_of(path)) not in ON_BACKEND:
            yield name


def room_of(name, part):
    """The room of a dotted name in `trainers` or `export`; None where it is elsewhere or the folder's own module."""
    prefix = f"encapnet_tf.{part}."
    inside = name.removeprefix(prefix) if name.startswith(prefix) else None
    rooms = [room for room in ROOMS[part] if inside is not None and room and f"{inside}.".startswith(f"{room}.")]
    return max(rooms, key=len) if rooms else ("" if inside is not None and "" in ROOMS[part] else None)


def wrong_in_a_room(path, source=None):
    """Imports of a higher room, at module level or in a function; and of the exports by the trainers' rooms.

    The command line alone imports the exports, and inside a function, so that training needs none of them.
    """
    part = path.relative_to(ROOT).parts[0]
    own = room_of(".".join((*module_of(path), "x")) if path.name == "__init__.py" else ".".join(module_of(path)), part)
    for name, at_module_level in imports(path, source):
        room = room_of(name, part)
        if room is not None and own is not None and ROOMS[part].index(room) > ROOMS[part].index(own):
            yield name
        of_exports = part == "trainers" and name.startswith("encapnet_tf.export")
        if of_exports and (at_module_level or path.name != "cli.py"):
            yield name


def wrong_anywhere(path, source=None):
    """Another project owns a top-level `export`, and keras.src is private."""
    for name, _ in imports(path, source):
        if name.split(".")[0] in ("trainers", "export") or name.startswith("keras.src"):
            yield name
    for node in ast.walk(ast.parse(source or path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "keras.src":
            yield "keras.src"


def test_sources_are_found():
    assert len(sources("encapnet_tf")) > 20
    assert len(sources(*FOLDERS)) > 40


@pytest.mark.parametrize("path", sources("encapnet_tf"), ids=lambda path: str(path.relative_to(ROOT)))
def test_core(path):
    assert list(wrong_in_the_core(path)) == []


def wrong_in_the_start(path, source=None):
    """Imports of a file of `encapnet_start` other than the standard library's; the command, inside a function."""
    for name, at_module_level in imports(path, source):
        root = name.split(".")[0]
        of_the_command = name.startswith("encapnet_tf.trainers.commands.") and not at_module_level
        if root not in sys.stdlib_module_names and root != "encapnet_start" and not of_the_command:
            yield name


@pytest.mark.parametrize("path", sources("encapnet_start"), ids=lambda path: path.name)
def test_the_start_imports_little(path):
    assert list(wrong_in_the_start(path)) == []
    assert list(wrong_in_the_start(path, "import numpy"))
    assert list(wrong_in_the_start(path, "from encapnet_tf.trainers.commands import cli"))
    assert list(wrong_in_the_start(path, "def main():\n    import encapnet_tf"))


@pytest.mark.parametrize("part", ROOMS)
def test_rooms(part):
    wrong = {str(path.relative_to(ROOT)): list(wrong_in_a_room(path)) for path in sources(part)}
    assert {path: names for path, names in wrong.items() if names} == {}


@pytest.mark.parametrize("part", ROOMS)
def test_every_file_lies_in_a_room(part):
    outside = [
        path
        for path in sources(part)
        if path.name != "__init__.py" and room_of(".".join(module_of(path)), part) is None
    ]
    assert outside == []


def test_no_room_is_crowded():
    files = Counter(path.parent for path in sources(*PROGRAM))
    assert {str(room): count for room, count in files.items() if count > MOST_FILES + 1} == {}  # and its __init__.py


def test_no_circle():
    """No file imports itself through others, inside functions either."""
    files = {".".join(module_of(path)): path for path in sources(*PROGRAM)}
    graph = {}
    for module, path in files.items():
        names = {name for name, _ in imports(path)}
        found = {name if name in files else name.rpartition(".")[0] for name in names}
        graph[module] = {name for name in found if name in files and name != module}
    sorter = TopologicalSorter(graph)
    sorter.prepare()  # raises CycleError, which names the circle


def test_names_that_nobody_imports():
    wrong = {str(path.relative_to(ROOT)): list(wrong_anywhere(path)) for path in sources(*FOLDERS)}
    assert {path: names for path, names in wrong.items() if names} == {}


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("encapnet_tf/ops/x.py", "from encapnet_tf import layers"),
        ("encapnet_tf/ops/x.py", "from ..layers import CapFC"),
        ("encapnet_tf/ops/x.py", "from .. import losses"),
        ("encapnet_tf/ops/__init__.py", "from ..models import EncapNet"),
        ("encapnet_tf/layers/x.py", "import encapnet_tf.losses"),
        ("encapnet_tf/layers/x.py", "def f():\n    import tensorflow as tf"),
        ("encapnet_tf/ops/x.py", "import tensorflow as tf"),
        ("encapnet_tf/explain/on_jax.py", "import torch"),
        ("encapnet_tf/ops/x.py", "from encapnet_tf.ops.acceleration import on_tensorflow"),
        ("encapnet_tf/ops/convolution/x.py", "from encapnet_tf.ops.convolution.on_tensorflow import tap_convolution"),
        ("encapnet_tf/models/x.py", "from encapnet_tf.trainers import train"),
        ("encapnet_tf/models/x.py", "from encapnet_tf import trainers"),
        ("encapnet_tf/losses/x.py", "import encapnet_tf as en"),
        ("encapnet_tf/saving.py", "from absl import flags"),
        ("encapnet_tf/__init__.py", "import keras_tuner, tensorflow_datasets"),
    ],
)
def test_a_wrong_import_in_the_core_is_seen(file, source):
    assert list(wrong_in_the_core(ROOT / file, source))


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("encapnet_tf/layers/x.py", "import math\nimport keras\nfrom encapnet_tf import ops\nfrom . import squash"),
        ("encapnet_tf/models/x.py", "from encapnet_tf.layers import CapFC\nfrom keras import layers"),
    ],
)
def test_a_right_import_in_the_core_passes(file, source):
    assert not list(wrong_in_the_core(ROOT / file, source))


def test_wrong_imports_elsewhere_are_seen():
    for source in ("import trainers.cli", "from export import x", "from keras.src import y", "import keras\nkeras.src"):
        assert list(wrong_anywhere(ROOT / "tests/x.py", source)), source
    assert not list(wrong_anywhere(ROOT / "tests/x.py", "from encapnet_tf.trainers import cli\nfrom . import export"))
    train, cli = ROOT / "trainers/fitting/train.py", ROOT / "trainers/commands/cli.py"
    lazily = "def run():\n    from ...export import saved_model"
    assert list(wrong_in_a_room(train, "from ...export import saved_model"))
    assert list(wrong_in_a_room(train, lazily))
    assert not list(wrong_in_a_room(cli, lazily))
    assert list(wrong_in_a_room(cli, "from ...export import saved_model"))
    assert list(wrong_in_a_room(train, "def run():\n    from ..commands import train"))
    assert not list(wrong_in_a_room(train, "from ..report.run_report import write_report\nfrom . import fit"))
    assert list(wrong_in_a_room(ROOT / "trainers/data/pipeline/split.py", "from ..sources import folder"))
    assert list(wrong_in_a_room(ROOT / "export/serving/clients.py", "from ..artefacts import lite"))
