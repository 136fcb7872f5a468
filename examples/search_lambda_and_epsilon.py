"""Example of tuning a Sinkhorn-divergence regulariser with KerasTuner.

    python examples/search_lambda_and_epsilon.py

The loss weight and the entropic regularisation are tuned, two arguments of `FeedbackAgreement`. Needs the extra
`tune`. `encapnet tune` searches from the command line, with several workers, resuming and a report.
"""

import argparse

import keras_tuner
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.search import EncapNetHyperModel
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two trials of one epoch")
    flags = parser.parse_args()
    trials, epochs = (2, 1) if flags.quick else (flags.trials, flags.epochs)

    digits = load_digits()
    images, labels = 16 * digits.images[..., None], digits.target  # pixels from 0 to 255
    images, test_images, labels, test_labels = train_test_split(images, labels, test_size=0.2, random_state=0)

    network = {"depths": (0,), "capsule_dims": (4,), "strides": (2,), "feedback": "half", "schedule": "constant"}
    space = {"lambda": (0.01, 10.0), "epsilon": (0.01, 10.0)}
    hypermodel = EncapNetHyperModel((8, 8, 1), 10, resolve("digits", network), space)
    tuner = keras_tuner.BayesianOptimization(
        hypermodel, objective="val_accuracy", max_trials=trials, seed=1, directory="search", overwrite=True
    )
    tuner.search(images, labels, validation_split=0.2, batch_size=64, epochs=epochs, verbose=0)

    for trial in tuner.oracle.get_best_trials(trials):
        values = trial.hyperparameters.values
        print(f"lambda {values['feedback_weight']:8.4f}  epsilon {values['epsilon']:8.4f}  {trial.score:.2%}")
    best = tuner.get_best_hyperparameters()[0]
    model = hypermodel.build(best)
    hypermodel.fit(best, model, images, labels, batch_size=64, epochs=epochs, verbose=0)
    _, accuracy, *_ = model.evaluate(test_images, test_labels, verbose=0)
    print(f"best settings, trained again: test accuracy {accuracy:.2%}")


if __name__ == "__main__":
    main()
