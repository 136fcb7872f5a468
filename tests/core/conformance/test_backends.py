"""Other Keras backends: the core gives TensorFlow's scores and training there, and loads no TensorFlow."""

from pathlib import Path

import numpy as np
import pytest

import encapnet_tf as en
from tests.backends import interpreter, run_on
from tests.core.conformance.routing_rows import ROUTING_LAYERS
from tests.core.conformance.rows import MODELS, enliven, joined_layers
from tests.core.conformance.train_on_backend import measure

SCRIPT = Path(__file__).with_name("train_on_backend.py")


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_same_as_tensorflow(rng, backend, tmp_path):
    interpreter(backend)
    model = en.models.EncapNet(
        (8, 6, 2),
        3,
        depths=(1, 1),
        capsule_dims=(2, 4),
        strides=(1, 2),
        num_capsules=3,
        routing=("master", "master_aide"),
    )
    x, y = rng.normal(size=(4, 8, 6, 2)).astype("float32"), np.array([0, 1, 2, 0])
    enliven(model, x).save(tmp_path / "model.keras")
    enliven(joined_layers(ROUTING_LAYERS), None).save(tmp_path / "routing.keras")
    networks = [row for row in MODELS if "_capsnet" in row.name]
    for row in networks:
        # Keras synchronises statistics on TensorFlow only.
        network = row.factory(**{name: False for name in row.factory.keywords if name == "synchronized"})
        enliven(network, row.input(12)).save(tmp_path / f"{row.name}.keras")
    inputs = {row.name: row.input(4) for row in networks}
    (sabour,) = (row for row in networks if row.name == "sabour_capsnet")
    en.attach_reconstruction(enliven(sabour.model(), sabour.input(12))).save(tmp_path / "decoder_capsnet.keras")
    inputs["decoder_capsnet"] = sabour.input(4)
    inputs |= {f"routing{i}": row.input(4) for i, row in enumerate(ROUTING_LAYERS)}
    np.savez(tmp_path / "data.npz", x=x, y=y, lengths=rng.uniform(size=(4, 3)).astype("float32"), **inputs)
    assert "tensorflow loaded: False" in run_on(backend, [SCRIPT, tmp_path], tmp_path)
    theirs, ours = np.load(tmp_path / f"{backend}.npz"), measure(tmp_path)
    assert set(theirs.files) == set(ours)
    assert np.abs(ours["after"] - ours["before"]).max() > 1e-3, "without a change the comparison shows nothing"
    assert all(ours["visible_nan"])
    assert all(ours["visible_wrong_labels"])
    for name, values in ours.items():
        np.testing.assert_allclose(theirs[name], values, atol=1e-4, err_msg=name)
