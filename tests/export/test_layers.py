"""Layers in LiteRT with its built-in operations alone, which other networks than this library's own may be made of."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from encapnet_tf.export.artefacts.lite import convert

from tests.core.conformance.rows import LAYERS, enliven

# Networks of this library are tested in test_networks.py: these are the layers that none of them has.
NEW = ("squash_options", "capsule_mask", "flatten", "self_", "inverted_", "conv_routing", "dynamic_routing_capsules")
ROWS = [row for row in LAYERS if row.name.startswith(NEW)]


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.name, marks=[] if row.name == "conv_routing" else [pytest.mark.ci]) for row in ROWS],
)
def test_layer_in_litert(row):
    model = enliven(row.model(), row.input())
    interpreter = Interpreter(model_content=convert(model, "float32", None))
    runner = interpreter.get_signature_runner()
    for batch in (1, 3):
        x = row.input(batch)
        (outputs,) = runner(**{name: x for name in runner.get_input_details()}).values()
        expected = np.asarray(model(x, training=False))
        assert expected.std() > 1e-3
        np.testing.assert_allclose(outputs, expected, atol=1e-5)
