"""Command that converts the best model of a training run to a pretrained network of this package.

Usage: python -m docs.scripts.preset RUN NAME
"""

import argparse
import json
from pathlib import Path

import numpy as np
from encapnet_tf.trainers import data
from encapnet_tf.trainers.config.run_config import read_run_config
from encapnet_tf.trainers.config.schema import network_settings
from encapnet_tf.trainers.evaluation.predictions import saved_model
from encapnet_tf.trainers.runs.run_directory import RunDirectory

from encapnet_tf.models.presets.writing import write_preset

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "encapnet_tf" / "models" / "presets"
CARD = """# Preset {name}

An EncapNet ("Neural Network Encapsulation", ECCV 2018) with a {decoder} decoder for images of {size}: {parameters:,}
parameters, of which {decoder_parameters:,} are the decoder's. Trained by the authors of this library.

- **Data.** {train:,} training and {validation:,} validation images of {data}; {classes} classes: {class_names}.
- **Accuracy.** {accuracy:.2%} on the {test:,} test images, with the weights in this file, rounded to float16.
- **Training.** {training} on two cores of an x86-64 server. The weights are those of the epoch with the best validation
  accuracy.
- **Use.** `models.EncapNet(weights="{name}")` takes pixels from 0 to 1, with `include_rescaling=True` from 0 to 255.
  `encapnet predict {name} IMAGE` and `encapnet explain {name} IMAGE` take image files.
- **Limits.** {limits}
"""
LIMITS = {
    "digits": "Digits of scikit-learn's form: 8x8 pixels, white on black, one digit that fills the image. Nothing else "
    "was tested.",
    "fashion_mnist": "Clothes as Fashion-MNIST shows them: 28x28 pixels, light on black, one centred object. Nothing "
    "else was tested.",
}


def main(run_path: str, name: str) -> None:
    """Save the best model of a training run as a pretrained network, and print the test accuracy.

    The weights are rounded to float16, and the accuracy is that of the rounded weights.
    """
    run = RunDirectory.open(run_path)
    config, summary = read_run_config(run), run.read_json(RunDirectory.summary_file, "class_names")
    model = saved_model(run.file(RunDirectory.best_model_file))
    for weight in model.weights:
        weight.assign(weight.numpy().astype("float16").astype("float32"))
    test = data.load(config).test
    images, labels = test.images, test.labels
    accuracy = float(np.mean(np.argmax(model.predict(images, batch_size=256, verbose=0), axis=1) == labels))
    arguments = {key: getattr(config, key) for key in network_settings() if getattr(config, key) is not None}
    arguments = {"input_shape": model.input_shape[1:], "classes": model.output_shape[1], **arguments}
    if isinstance(arguments.get("routing"), tuple) and len(arguments["routing"]) == 1:
        (arguments["routing"],) = arguments["routing"]
    decoder_parameters = model.reconstruction.count_params()
    card = CARD.format(
        name=name,
        decoder=config.reconstruction,
        size="x".join(map(str, model.input_shape[1:])),
        parameters=model.count_params(),
        decoder_parameters=decoder_parameters,
        train=summary["train_images"],
        validation=summary["validation_images"],
        test=summary["test_images"],
        data=summary["data_source"] if name == "digits" else "Fashion-MNIST",
        classes=len(summary["class_names"]),
        class_names=", ".join(summary["class_names"]),
        accuracy=accuracy,
        training=", then ".join(_trainings(run)),
        limits=LIMITS[name],
    )
    write_preset(
        model,
        FOLDER / name,
        arguments=json.loads(json.dumps(arguments)),
        decoder=config.reconstruction,
        reconstruction_weight=config.reconstruction_weight,
        class_names=summary["class_names"],
        test_accuracy=accuracy,
        card=card,
    )
    print(f"{name}: {accuracy:.2%} of {len(labels):,} test images, {FOLDER / name}")


def _trainings(run: RunDirectory) -> list[str]:
    """Return the command, epochs and time of a training run, after those of the run whose weights it started from."""
    record = run.read_json(RunDirectory.config_file, "config", "command", "working_directory")
    summary = run.read_json(RunDirectory.summary_file, "epochs", "train_seconds")
    words = [word for word in record["command"].split() if not word.startswith("--run_dir")]
    minutes = summary["train_seconds"] / 60
    training = f"`{' '.join(['encapnet', *words[1:]])}`: {summary['epochs']} epochs in {minutes:.0f} minutes"
    start = record["config"]["init_weights"]
    if start is None:
        return [training]
    return [*_trainings(RunDirectory.open(Path(record["working_directory"]) / start)), training]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("name", choices=sorted(LIMITS))
    arguments = parser.parse_args()
    main(arguments.run, arguments.name)
