"""Contestants other than convolutions: equal values, right operation counts, a right Sinkhorn reference."""

import numpy as np
import pytest

import encapnet_tf as en
from benchmarks.contestants import routing_layers, sinkhorn_problem
from benchmarks.contestants.keras_layers import activation
from benchmarks.contestants.network_flops import Convolution, convolutions, forward_flops
from benchmarks.contestants.sinkhorn_keras import ours
from benchmarks.contestants.sinkhorn_problem import fewest_iterations

SIZES = {"size": 4, "capsules": 3, "capsule_dim": 2, "batch": 2, "gradient": True}


def values(prepared):
    outputs, gradients = prepared.run()
    return [np.asarray(x.detach() if hasattr(x, "detach") else x) for x in (outputs, *gradients)]


def test_activations_are_equal():
    both = [values(activation(layer=layer, **SIZES)) for layer in ("library", "separate")]
    assert len(both[0]) == 4, "output, and the gradients of x, gamma and beta"
    for library, separate in zip(*both, strict=True):
        assert np.abs(library).max() > 1e-3
        np.testing.assert_allclose(library, separate, atol=1e-5)


@pytest.mark.parametrize("layer", ["EMRouting", "SelfRouting2D", "InvertedAttentionConv2D"])
def test_steps_of_layers_have_all_gradients(layer):
    options = {"num_capsules": 3, "capsule_dim": 4} | ({} if layer == "SelfRouting2D" else {"num_input_capsules": 2})
    step = routing_layers.training_step(layer=layer, options=options, shape=(4, 3, 8), input_dim=4, batch=2)
    outputs, gradients = step.run()
    assert outputs.shape[0] == 2
    assert len(gradients) == (5 if layer != "InvertedAttentionConv2D" else 4)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
    assert step.facts["parameters"] == sum(
        np.size(gradient) for gradient in gradients[2 if layer == "SelfRouting2D" else 1 :]
    )


def test_pytorch_activation_has_capsule_lengths_below_1():
    pytest.importorskip("torch")
    from benchmarks.contestants import torch_layers

    theirs = values(torch_layers.activation(memory_format="NCHW", **SIZES))[0]
    assert theirs.shape == (2, 6, 4, 4)
    lengths = np.linalg.norm(theirs.reshape(2, 3, 2, 4, 4), axis=2)
    assert 0 < lengths.max() < 1


@pytest.mark.ci
def test_the_sinkhorn_reference_agrees_with_the_library():
    facts = ours(size=12, dim=3, iterations=200, gradient=True).facts
    assert facts["value error"] < 1e-5
    assert facts["gradient error"] < 1e-4


@pytest.mark.parametrize(
    ("target", "factor", "iterations", "reached"),
    [(1.0, 1.0, 1, True), (0.5, 1.0, 2, True), (0.1, 1.0, 100, True), (0.0, 1.0, 100, False), (1.0, None, 100, False)],
)
def test_iterations_are_raised_to_an_accuracy(target, factor, iterations, reached):
    factory = "tests.benchmarks.toys:converging"
    facts = fewest_iterations(factory=factory, target=target, steps=[1, 2, 100], factor=factor).facts
    assert (facts["iterations"], facts["reached"]) == (iterations, reached)


def test_a_wrong_gradient_has_an_error():
    value, gradient = sinkhorn_problem.solution(12, 3)
    x, y = gradient[:12], gradient[12:]
    assert sinkhorn_problem.errors(12, 3, value / 2, (x / 2, y / 2), share=0.5) == {
        "value error": 0.0,
        "gradient error": 0.0,
    }
    assert sinkhorn_problem.errors(12, 3, value, (x, 1.1 * y))["gradient error"] > 0.01
    assert sinkhorn_problem.errors(12, 3, np.nan)["value error"] is None


def test_the_reference_gradient_is_that_of_its_value(monkeypatch):
    x, y = (a.astype("float64") for a in sinkhorn_problem.points(6, 2))
    gradient = sinkhorn_problem.solution(6, 2)[1]
    values = []
    for step in (1e-5, -1e-5):
        shifted = x + step * np.eye(6, 2)
        monkeypatch.setattr(sinkhorn_problem, "points", lambda *_, shifted=shifted: (shifted, y))
        values.append(sinkhorn_problem.solution.__wrapped__(6, 2)[0])
    slope = (values[0] - values[1]) / 2e-5
    np.testing.assert_allclose(slope, gradient[0, 0] + gradient[1, 1], rtol=1e-5)


def test_flops_of_a_network():
    model = en.models.EncapNet((8, 8, 1), 3, depths=(0,), capsule_dims=(2,), strides=(2,), num_capsules=4)
    counts = convolutions(model)
    assert Convolution((8, 8), (3, 3, 1, 4), 1, 1) in counts, "stem"
    assert Convolution((8, 8), (3, 3, 4, 8), 2, 1) in counts, "shortcut"
    assert Convolution((8, 8), (7, 7, 4, 8), 2, 1) in counts, "aide"
    assert Convolution((8, 8), (3, 3, 1, 8), 2, 4) in counts, "master"
    assert counts.count(Convolution((4, 4), (3, 3, 4, 4), 1, 4)) == 2, "coefficients"
    assert len(counts) == 6
    stem, shortcut, aide, master, coefficient = 64 * 36, 16 * 288, 16 * 1568, 16 * 72, 16 * 144
    classes = 2 * (4 * 4 * 4) * 3
    assert forward_flops(model) == 2 * (stem + shortcut + aide + master + 2 * coefficient + classes)
