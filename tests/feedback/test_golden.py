"""The unit equals the paper's released implementation in its loss and gradients (tests/data/feedback_*.npz)."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import encapnet_tf as en
from encapnet_tf.layers import FeedbackAgreement

FILES = sorted((Path(__file__).parents[1] / "data").glob("feedback_*.npz"))


def unit_for(file, **options):
    """Return the unit whose values a file holds, with its weights."""
    capsules = int(file["groups"])
    unit = FeedbackAgreement(
        num_capsules=capsules,
        epsilon=float(file["epsilon"]),
        iterations=int(file["iterations"]),
        cost={"cosine": "cosine", "l2": "euclidean"}[str(file["cost"])],
        debias=bool(file["debias"]),
        differentiate_plan=not file["stop_plan_gradient"],
        generator="capsule" if capsules > 1 else "conv",
        extractor="conv" if file["critic"] else None,
        **{"solver": "plain", **options},
    )
    unit.build([file["z_nhwc"].shape, file["y_nhwc"].shape])
    weights = {name.removeprefix("w/"): file[name] for name in file.files if name.startswith("w/")}
    en.interop.load_official_state_dict(unit, weights)
    return unit


def value_and_gradients(unit, file):
    higher, lower = tf.constant(file["z_nhwc"]), tf.constant(file["y_nhwc"])
    with tf.GradientTape() as tape:
        tape.watch([higher, lower])
        value = unit.agreement(higher, lower, training=True)
    return value, tape.gradient(value, [higher, lower])


def error(ours, reference):
    """Relative error in the Frobenius norm."""
    return np.linalg.norm(np.float64(ours) - reference) / np.linalg.norm(reference)


def test_files_are_found():
    assert len(FILES) == 7


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_loss_and_gradients(path):
    file = np.load(path)
    value, (of_higher, of_lower) = value_and_gradients(unit_for(file), file)
    assert float(value) == pytest.approx(float(file["loss"]), rel=1e-5)
    assert error(of_higher, file["grad_z_nhwc"]) < 1e-4
    assert error(of_lower, file["grad_y_nhwc"]) < 1e-4


def test_a_call_in_training_adds_it_to_the_losses():
    file = np.load(FILES[0])
    unit = unit_for(file, weight=3.0)
    output = unit([file["z_nhwc"], file["y_nhwc"]], training=True)
    np.testing.assert_array_equal(output, file["z_nhwc"])
    assert [float(loss) for loss in unit.losses] == pytest.approx([3 * float(file["loss"])], rel=1e-5)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_fast_solver_is_close(path):
    """At epsilon 1 ten plain steps have converged; at .1 and 20 a converged solver differs by up to 1e-2."""
    file = np.load(path)
    value, (of_higher, of_lower) = value_and_gradients(unit_for(file, solver="fast"), file)
    converged = float(file["epsilon"]) == 1.0
    assert float(value) == pytest.approx(float(file["loss"]), rel=1e-4 if converged else 3e-2)
    assert error(of_higher, file["grad_z_nhwc"]) < (1e-3 if converged else 0.3)
    assert error(of_lower, file["grad_y_nhwc"]) < (1e-3 if converged else 0.3)


def test_weights_that_do_not_fit_raise():
    file = np.load(FILES[0])
    unit = unit_for(file)
    weights = {name.removeprefix("w/"): file[name] for name in file.files if name.startswith("w/")}
    for wrong, message in [
        ({**weights, "G_net.9.weight": np.ones(3)}, r"Not used: G_net\.9\.weight"),
        ({name: value for name, value in weights.items() if name != "critic.3.bias"}, r"Missing: critic\.3\.bias"),
        ({**weights, "critic.0.bias": np.ones(5)}, r"critic\.0\.bias has shape \(5,\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            en.interop.load_official_state_dict(unit, wrong)
    en.interop.load_official_state_dict(unit, {**weights, "G_net.1.num_batches_tracked": np.int64(3)})
