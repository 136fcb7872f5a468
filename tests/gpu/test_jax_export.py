"""Training steps lowered for CUDA by JAX, which needs no GPU; skipped where JAX is not installed."""

import json
from pathlib import Path

import pytest

from tests.backends import interpreter, run_on
from tests.core.conformance.rows import LAYERS, joined_layers
from tests.core.conformance.test_precision import first_of_each_class

pytestmark = pytest.mark.ci
SCRIPT = Path(__file__).with_name("export_for_cuda.py")
CAPSULES = 32


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """Lower the training steps once, and return name -> summary."""
    interpreter("jax")
    folder = tmp_path_factory.mktemp("steps")
    joined_layers(first_of_each_class(LAYERS)).save(folder / "layers.keras")
    printed = run_on("jax", [SCRIPT, folder], folder).splitlines()
    assert printed[-1] == "tensorflow loaded: False"
    return json.loads(printed[-2])


def test_every_step_is_lowered(steps):
    assert {tuple(step["platforms"]) for step in steps.values()} == {("cuda",)}
    names = ("encapnet18 master", "encapnet18 master_aide", "capnet dynamic", "capnet em", "layers", "bfloat16")
    assert tuple(steps) == names


def test_steps_call_no_library_by_name(steps):
    """XLA chooses the library of each convolution and product itself; a call by name may be missing on a GPU."""
    assert {name: step["calls"] for name, step in steps.items() if step["calls"]} == {}


def test_grouped_convolutions_are_dense_but_for_those_of_large_capsules(steps):
    """The last module's 1x1 mappings have 16 channels in a group for each capsule; those stay grouped."""
    for name in ("encapnet18 master", "encapnet18 master_aide"):
        assert steps[name]["groups"] == [[1, 1], [1, CAPSULES], [CAPSULES, 1]], name
    assert steps["bfloat16"]["groups"] == [[1, 1]]


def test_transport_costs_have_full_precision(steps):
    """JAX would round the factors of these products to TF32 on a GPU."""
    assert steps["bfloat16"]["precise products"] > 0
    assert steps["encapnet18 master"]["precise products"] == 0


def test_half_precision_stays_half(steps):
    assert steps["bfloat16"]["dtypes"] == ["bf16"]
    assert steps["encapnet18 master"]["dtypes"] == ["f32"]
