"""Command that trains EncapNet-18 on Fashion-MNIST with several random seeds.

The routing is master/aide.

KERAS_BACKEND=jax python -m benchmarks.training.fashion_mnist [--data_dir FOLDER] [--seeds 0,1,2] [--epochs 60]
    [--batch 128] [--dtype mixed_bfloat16] [--feedback two] [--weight 0.1] [--out FOLDER]

Written for one GPU; no TensorFlow needed. Images are padded to 32x32, shifted by up to 4 pixels and mirrored at random;
Adam with a warm-up and a cosine decay. The last epoch's weights are tested: nothing is chosen on the test
images, whose accuracy after every epoch is only recorded for the curve. Writes fashion_mnist.json, .md and .png.

--limit 256 --epochs 1 --num_capsules 4 --depths 0,0,0,0 shows on a CPU that it runs.
"""

import math
import os
import time

import numpy as np

from benchmarks.harness.arguments import argument_parser, integers
from benchmarks.harness.plots import Panel, draw
from benchmarks.harness.report import Report
from benchmarks.workloads.fashion_mnist import CLASSES, add_data_dir, check_data_dir, images_and_labels

SHIFT = 4  # pixels either way
ABOUT = (
    "EncapNet-18, master/aide, with the feedback that the command names. Test accuracy is that of the last epoch's "
    "weights; best epoch: the highest that the test accuracy was after any epoch, for orientation only."
)


def parse_flags(arguments):
    flags = argument_parser(__doc__)
    add_data_dir(flags)
    flags.add_argument("--seeds", type=integers, default=(0, 1, 2), help="one training each (0,1,2)")
    flags.add_argument("--epochs", type=int, default=60)
    flags.add_argument("--batch", type=int, default=128)
    flags.add_argument("--learning_rate", type=float, default=1e-3, help="at its highest")
    flags.add_argument("--feedback", default="two", choices=("none", "half", "same", "two"), help="units (two)")
    flags.add_argument("--weight", type=float, default=0.1, help="of the feedback units (the paper has 10)")
    flags.add_argument("--dtype", default="float32", choices=("float32", "mixed_bfloat16"))
    flags.add_argument("--limit", type=int, help="training and test images to use (all)")
    flags.add_argument("--num_capsules", type=int, default=32)
    flags.add_argument("--depths", type=integers, default=(3, 3, 3, 3), help="type II layers a module (3,3,3,3)")
    flags = flags.parse_args(arguments)
    if flags.quick:
        flags.limit, flags.epochs, flags.seeds = 64, 1, flags.seeds[:1]
        flags.num_capsules, flags.depths, flags.batch = 2, (0, 0, 0, 0), 32
    check_data_dir(flags)
    return flags


def augment(images, rng):
    """Shift each image by a few random pixels, and mirror each image with probability 1/2.

    The shift is by up to SHIFT pixels, with 0 beyond the edges.
    """
    count, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)))
    down, right = rng.integers(0, 2 * SHIFT + 1, (2, count))
    rows = (np.arange(height) + down[:, None])[:, :, None]
    columns = (np.arange(width) + right[:, None])[:, None, :]
    shifted = padded[np.arange(count)[:, None, None], rows, columns]
    return np.where(rng.random((count, 1, 1, 1)) < 0.5, shifted[:, :, ::-1], shifted)


def train(flags, seed, train_set, test_set):
    """Train one EncapNet-18 from scratch and measure the test accuracy after every epoch.

    Returns:
        {"seed", "device", "parameters", "seconds", "loss": one number an epoch, "accuracy": on test images, likewise}.
    """
    import keras

    import encapnet_tf as en
    from benchmarks.contestants.keras_calls import device

    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(flags.dtype)
    model = en.models.EncapNet18(
        (32, 32, 1),
        CLASSES,
        num_capsules=flags.num_capsules,
        depths=flags.depths,
        feedback=None if flags.feedback == "none" else flags.feedback,
        feedback_options={"weight": flags.weight},
    )
    images, labels = train_set
    steps = len(images) // flags.batch
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, flags.epochs * steps, warmup_target=flags.learning_rate, warmup_steps=max(1, steps * flags.epochs // 20)
    )
    model.compile(keras.optimizers.Adam(rate), en.losses.MarginLoss())
    rng = np.random.default_rng(seed)
    losses, accuracies, start = [], [], time.monotonic()
    for epoch in range(flags.epochs):
        order = rng.permutation(len(images))[: steps * flags.batch]
        batches = augment(images[order], rng), labels[order]
        history = model.fit(*batches, batch_size=flags.batch, shuffle=False, verbose=0).history
        scores = model.predict(test_set[0], batch_size=flags.batch, verbose=0)
        losses.append(history["loss"][0])
        accuracies.append(float(np.mean(scores.argmax(-1) == test_set[1])))
        print(f"seed {seed}, epoch {epoch + 1}: loss {losses[-1]:.4f}, test {accuracies[-1]:.4f}", flush=True)
    seconds = time.monotonic() - start
    parameters = sum(math.prod(v.shape) for v in model.trainable_variables)
    return {
        "seed": seed,
        "device": device(),
        "parameters": parameters,
        "seconds": seconds,
        "loss": losses,
        "accuracy": accuracies,
    }


def write(flags, runs):
    """Write a report with the accuracies and learning curves of training runs with different random seeds.

    Those of all runs so far are included.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    report = Report("fashion_mnist", f"Fashion-MNIST on {backend}, {flags.dtype}", ABOUT, flags.quick)
    report.table(
        [
            {
                "seed": run["seed"],
                "test accuracy": f"{100 * run['accuracy'][-1]:.2f} %",
                "best epoch": f"{100 * max(run['accuracy']):.2f} %",
                "epochs": len(run["accuracy"]),
                "seconds": run["seconds"],
                "parameters": run["parameters"],
                "device": run["device"],
            }
            for run in runs
        ]
    )
    last = [run["accuracy"][-1] for run in runs]
    report.note(f"mean test accuracy {100 * np.mean(last):.2f} %, standard deviation {100 * np.std(last):.2f}")
    report.note("![loss and test accuracy](fashion_mnist.png)")
    report.extra("runs", runs)
    report.write(flags.out)
    curves = [
        Panel("epoch", title, {f"seed {run['seed']}": (range(1, len(run[name]) + 1), run[name]) for run in runs}, False)
        for name, title in (("loss", "training loss"), ("accuracy", "test accuracy"))
    ]
    draw(flags.out / "fashion_mnist.png", [curves])


def main(arguments=None):
    flags = parse_flags(arguments)
    sets = [images_and_labels(flags.data_dir, part, flags.limit) for part in ("train", "t10k")]
    if len(sets[0][0]) < flags.batch:
        raise SystemExit(f"{len(sets[0][0])} training images do not fill a batch of {flags.batch}: lower --batch.")
    runs = []
    for seed in flags.seeds:
        runs.append(train(flags, seed, *sets))
        write(flags, runs)


if __name__ == "__main__":
    main()
