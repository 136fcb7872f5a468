"""Experiment that measures whether a regulariser's feature extractor collapses to constant features.

A collapsed feature extractor has a constant output.

Trains a small EncapNet with two units in each module on scikit-learn's digits, once for each `extractor_objective`.
Plots two measurements of `CollapseWatch` on held-out images, each relative to the raw features: the divergence of the
extracted features, and their spread.

    python examples/extractor_collapse.py --figure=docs/extractor_collapse.png

Takes about three minutes on 2 cores.
"""

import argparse
import warnings

import keras
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

import encapnet_tf as en

OBJECTIVES = {"minimize": "#d1622b", "adversarial": "#3b6fb6", "frozen": "#4d8a50"}
HELD_OUT = 128  # images for CollapseWatch


def train(objective, epochs, seed=0):
    """Train a small EncapNet, and detect when the feature extractor of a Sinkhorn-divergence regulariser collapses.

    Returns:
        The training history, and the regularisers that collapsed, as a dictionary from name to epoch.
    """
    keras.utils.set_random_seed(seed)
    digits = load_digits()
    images, labels = digits.images[..., None] / 16, digits.target
    model = en.models.EncapNet(
        (8, 8, 1),
        classes=10,
        depths=(1, 1),
        capsule_dims=(2, 4),
        strides=(1, 2),
        num_capsules=8,
        feedback="two",
        feedback_options={"extractor_objective": objective},
    )
    model.compile(keras.optimizers.Adam(1e-3), en.losses.MarginLoss(), metrics=["accuracy"])
    watch = en.callbacks.CollapseWatch(images[:HELD_OUT])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the callback warns of the collapse that this example is about
        history = model.fit(
            images[HELD_OUT:], labels[HELD_OUT:], batch_size=64, epochs=epochs, verbose=0, callbacks=[watch]
        )
    return history.history, watch.collapsed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--figure", default="extractor_collapse.png")
    parser.add_argument("--quick", action="store_true", help="two epochs only")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.epochs = 2

    figure, (share, spread) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for objective, colour in OBJECTIVES.items():
        history, collapsed = train(objective, arguments.epochs)
        units = [key.removesuffix("_raw_spread") for key in history if key.endswith("_raw_spread")]
        epochs = range(1, arguments.epochs + 1)
        for i, unit in enumerate(units):
            ratio = [
                d / r for d, r in zip(history[f"{unit}_divergence"], history[f"{unit}_raw_divergence"], strict=True)
            ]
            relative_spread = [
                d / r for d, r in zip(history[f"{unit}_spread"], history[f"{unit}_raw_spread"], strict=True)
            ]
            label = objective if i == 0 else None
            share.plot(epochs, ratio, color=colour, alpha=0.8, label=label)
            spread.plot(epochs, relative_spread, color=colour, alpha=0.8, label=label)
            print(
                f"{objective:12} {unit:22} divergence / raw {ratio[-1]:8.4f}   "
                f"spread / raw {relative_spread[-1]:7.3f}   "
                f"{'collapsed at epoch ' + str(collapsed[unit]) if unit in collapsed else 'not collapsed'}"
            )
        print(f"{objective:12} training accuracy {history['accuracy'][-1]:.1%}", flush=True)
    share.axhline(0.01, color="#8a97a6", linestyle=":", label="threshold of CollapseWatch")
    share.set(yscale="log", xlabel="epoch", title="divergence of extracted features / of raw features")
    spread.set(yscale="log", xlabel="epoch", title="spread of extracted features / of raw features")
    for axes in (share, spread):
        axes.grid(alpha=0.3)
        axes.title.set_size(9)
    # Below the plots: inside, it would cover curves.
    figure.legend(*share.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(arguments.figure, dpi=110)
    print(arguments.figure)


if __name__ == "__main__":
    main()
