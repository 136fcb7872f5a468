"""Program of test_backends.py: measures a network on the backend that KERAS_BACKEND names.

Usage: python train_on_backend.py FOLDER. Reads the `.keras` files and `data.npz`, writes `<backend>.npz`.
"""

import sys
from pathlib import Path

import keras
import numpy as np

import encapnet_tf as en
from encapnet_tf.explain.couplings import votes_and_couplings


def scheduled_losses(x, y):
    """Return the losses of three epochs under a rising margin, for a model that returns its input."""
    model = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.Rescaling(1.0)])
    model.compile("sgd", en.losses.SpreadLoss(0.5))
    schedule = en.callbacks.SpreadMarginSchedule(0.2, 0.8)
    return model.fit(x, y, epochs=3, verbose=0, callbacks=[schedule]).history["loss"]


def visible_nan(x):
    """Return, for each transport cost, whether loss and weights are NaN after a step with a NaN in its targets."""
    seen = []
    for cost in ("cosine", "euclidean", "sqeuclidean"):
        model = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.Dense(2)])
        model.compile("sgd", en.losses.SinkhornLoss(cost=cost))
        targets = np.where(np.arange(len(x)) == 1, np.nan, 1.0)[:, None] * x[:, :2]
        loss = model.train_on_batch(x, targets)
        seen.append(np.isnan(loss) and all(np.isnan(weight).all() for weight in model.get_weights()))
    return seen


def manhattan(x, y):
    return keras.ops.sum(keras.ops.abs(x[..., :, None, :] - y[..., None, :, :]), axis=-1)


def moved_point_sets():
    """Return name -> loss and weights of models of point sets after a step, and results for costs of several problems.

    The targets have another number of points, and weights of which some are 0.
    """
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(4, 3)).astype("float32"), rng.normal(size=(4, 5, 2)).astype("float32")
    kernel = rng.normal(size=(3, 14)).astype("float32")
    weights = rng.integers(0, 3, (4, 5)) + np.eye(5)[:4]
    targets[weights == 0] = np.nan
    results = {}
    for name, options in {
        "fast": {"cost": "sqeuclidean", "iterations": 60},
        "full": {"cost": "euclidean", "iterations": 60, "differentiate_plan": True},
        "plain": {"solver": "plain", "differentiate_plan": True},
        "dual": {"cost": "euclidean", "value": "dual", "relative_epsilon": True, "debias": False},
        "blocks": {"cost": "euclidean", "block_size": 4, "iterations": 6},
        "function": {"cost": manhattan, "iterations": 12},
        "function_blocks": {"cost": manhattan, "block_size": 4, "iterations": 6},
    }.items():
        layers = [keras.layers.Dense(14, use_bias=False), keras.layers.Reshape((7, 2))]
        model = keras.Sequential([keras.Input((3,)), *layers])
        model.set_weights([kernel])
        model.compile(keras.optimizers.SGD(0.1), en.losses.SinkhornLoss(0.5, sample_axis=1, **options))
        results[f"sets_{name}"] = model.train_on_batch(x, targets, sample_weight=weights)
        results[f"sets_{name}_weights"] = model.get_weights()[0]
    plan = en.ops.sinkhorn(rng.random((2, 3, 4)), 0.1, 60, x_weights=[0.5, 0.5, 0.0])
    return results | {f"costs_{i}": keras.ops.convert_to_numpy(part) for i, part in enumerate(plan)}


def visible_wrong_labels(x):
    """Return, for each class loss, whether a step with a label that is no class raises or makes the loss NaN."""
    seen = []
    for loss in (en.losses.MarginLoss(), en.losses.SpreadLoss(0.2)):
        model = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.Dense(3, "sigmoid")])
        model.compile("sgd", loss)
        try:
            seen.append(np.isnan(model.train_on_batch(x, np.arange(len(x)) % 3 + 1)))
        except ValueError as error:
            seen.append("Labels must be integers from 0 to 2" in str(error))
    return seen


def trained_routing(folder, data):
    """Return name -> array of outputs and weights of a model of all routing layers, before and after a step."""
    model = en.load_model(folder / "routing.keras")
    x = [data[f"routing{i}"] for i in range(len(model.inputs))]
    results = {"routing_before": model.predict(x, verbose=0)}
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.train_on_batch(x, 1 - results["routing_before"])
    return results | {f"routing_{weight.path}": weight.numpy() for weight in model.weights}


def trained_networks(folder, data):
    """Return name -> array of outputs and weights of the networks of other papers, before and after a step."""
    results = {}
    for file in sorted(folder.glob("*_capsnet*.keras")):
        model, x = en.load_model(file), data[file.stem]
        before = model.predict(x, verbose=0)
        model.compile(keras.optimizers.SGD(0.05), en.losses.MarginLoss())
        model.train_on_batch(x, data["y"])
        results |= {f"{file.stem}_before": before, f"{file.stem}_after": model.predict(x, verbose=0)}
        results |= {f"{file.stem}_{weight.path}": weight.numpy() for weight in model.weights}
    return results


def explanations(model, x):
    """Return name -> array of what explains the scores of a network, with the coefficients of every routing."""
    agreement = en.explain.agreement(model, x)
    results = {
        "explain_saliency": en.explain.saliency(model, x, samples=2),
        "explain_occlusion": en.explain.occlusion(model, x),
        "explain_coupling": agreement.coupling,
        "explain_contribution": agreement.contribution,
    }
    for name in ("DynamicRouting", "EMRouting", "SelfAttentionRouting", "InvertedAttentionRouting"):
        layer = getattr(en.layers, name)(3, 4, **({"num_input_capsules": None} if name == "EMRouting" else {}))
        layer.build((None, 5, 4))
        layer.kernel.assign(np.random.default_rng(1).normal(size=layer.kernel.shape))
        capsules = keras.ops.convert_to_tensor(x.ravel()[:40].reshape(2, 5, 4))
        _, couplings = votes_and_couplings(layer, capsules)
        results[f"explain_{name}"] = keras.ops.convert_to_numpy(couplings)
    return results


def measure(folder):
    """Return name -> array of scores, losses and weights on which all backends should agree."""
    data = np.load(folder / "data.npz")
    model = en.load_model(folder / "model.keras")
    results = {"before": model.predict(data["x"], verbose=0), **explanations(model, data["x"])}
    model.compile(keras.optimizers.SGD(0.05), en.losses.MarginLoss())
    results["losses"] = [model.train_on_batch(data["x"], data["y"]) for _ in range(2)]
    results["after"] = model.predict(data["x"], verbose=0)
    results["scheduled"] = scheduled_losses(data["lengths"], data["y"])
    results["visible_nan"] = visible_nan(data["lengths"])
    results["visible_wrong_labels"] = visible_wrong_labels(data["lengths"])
    for i, weight in enumerate(model.get_weights()):
        results[f"weight{i}"] = weight
    return results | moved_point_sets() | trained_routing(folder, data) | trained_networks(folder, data)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    name = keras.backend.backend()
    np.savez(folder / f"{name}.npz", **measure(folder))
    print(f"tensorflow loaded: {'tensorflow' in sys.modules}")
