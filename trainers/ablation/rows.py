"""Training configurations of ablation studies, most of which reproduce tables of the EncapNet paper.

Each configuration is a row, with a name such as "table1/a". The starting configurations are the recipes.
"""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from ..runs.errors import UserError

SHARED_RUN_FILE = "same.json"  # in the folder of a row's run: the run of another row with an equal configuration


@dataclass(frozen=True)
class Row:
    """Configuration of an ablation study, with training settings and the EncapNet paper's test error.

    Attributes:
        name: table and row, such as "table1/a".
        about: description in a few words.
        settings: setting -> value, overriding the recipe's.
        paper: the paper's error in percent, on CIFAR-10 unless the row names another data set, as its text states it.
            None where the text states none; the text available to us lacks Table 3 itself.
        recipe: the recipe to change where the command line names none.
        baseline: name of the row that this one is compared with, seed by seed; None compares with none.
        keep: network settings that stay the recipe's although the row changes the network.
    """

    name: str
    about: str
    settings: dict = field(default_factory=dict)
    paper: str | None = None
    recipe: str = "digits"
    keep: tuple[str, ...] = ()
    baseline: str | None = None


def _table1():
    """Return the capsule network and CNN configurations in Table 1 of the EncapNet paper."""

    def capnet(routing):
        # The spread loss is that of EM routing's paper; with the margin loss EM capsules learn the digits far slower.
        return {"model": "capnet", "routing": (routing,)} | ({"loss": "spread"} if routing == "em" else {})

    def encapnet(routing):
        return {"model": "encapnet6", "routing": (routing,)}

    plain = {"model": "plaincnn"}
    return [
        Row("table1/a", "CapNet, dynamic routing", capnet("dynamic"), "14.28 (MNIST 0.37)"),
        Row("table1/b", "CapNet, EM routing, spread loss", capnet("em"), "12.66 (MNIST 0.31)"),
        Row("table1/c", "vanilla CNN, same shape", {**plain, "width": "same_shape"}, "14.43 (MNIST 0.38)"),
        Row("table1/d", "vanilla CNN, similar parameters", {**plain, "width": "similar_params"}, "12.09 (MNIST 0.33)"),
        Row("table1/e", "EncapNet, master", encapnet("master"), "13.87 (MNIST 0.31)"),
        Row("table1/f", "EncapNet, master/aide", encapnet("master_aide"), "11.93 (MNIST 0.25)"),
    ]


def _table3():
    """Return the configurations of routing and regularisation variants in Table 3 of the EncapNet paper."""

    def layer(coefficients, skip):
        return {"routing": ("master_aide",), "coefficients": (coefficients,), "skip": skip}

    complete = layer("both", "both")
    unit = {**complete, "feedback": "half"}
    resnet = {"model": "resnet18"}
    width = ("num_capsules",)
    return [
        Row("table3/1", "master alone", {"routing": ("master",), "skip": "none"}, "9.83"),
        Row("table3/2", "master/aide, own coefficients", layer("own", "none")),
        Row("table3/3", "master/aide, cross coefficients", layer("cross", "none")),
        Row("table3/4", "master/aide, coefficients of both", layer("both", "none"), "7.41"),
        Row("table3/5", "4 with the skip of type I (our reading)", layer("both", "type1")),
        Row("table3/6", "4 with the skip of type II (our reading)", layer("both", "type2")),
        Row("table3/7", "4 with both skips", complete, "5.82"),
        Row("table3/a", "no regularisation (7 again)", complete, "5.82"),
        Row("table3/b", "KL divergence for Sinkhorn's", {**unit, "divergence": "kl"}),
        Row("table3/c", "one OT a module", unit, "4.58"),
        Row("table3/c2", "two OTs a module", {**complete, "feedback": "two"}, "4.55"),
        Row("table3/d1", "c without debiasing", {**unit, "debias": False}),
        Row("table3/d2", "c with the gradient through P", {**unit, "differentiate_plan": True}),
        Row("table3/d3", "c without extractor, cosine", {**unit, "extractor": "none"}, "5.79"),
        Row(
            "table3/d4",
            "c without extractor, l2",
            {**unit, "extractor": "none", "cost": "euclidean"},
            "does not converge",
        ),
        Row("table3/d5", "c with a plain generator", {**unit, "generator": "conv"}, "5.01"),
        Row("table3/d6", "c with l2 after the extractor", {**unit, "cost": "euclidean"}),
        Row("table3/a-resnet", "ResNet18, no regularisation", resnet, keep=width),
        Row("table3/b-resnet", "ResNet18, KL", {**resnet, "feedback": "half", "divergence": "kl"}, keep=width),
        Row("table3/c-resnet", "ResNet18, one OT a stage", {**resnet, "feedback": "half"}, keep=width),
    ]


def _table4():
    """Return the EncapNet training configurations for the data sets in Table 4 of the EncapNet paper."""

    def row(name, about, paper, recipe, augment, **settings):
        network = {"model": "encapnet18", "routing": ("master_aide",), "coefficients": ("both",), "feedback": "two"}
        return Row(f"table4/{name}", about, {**network, "augment": (augment,), **settings}, paper, recipe)

    v2 = {"model": "encapnet101", "routing": None}  # its own routing of each module
    v3 = {**v2, "image_size": 224}
    return [
        row("cifar10", "EncapNet, CIFAR-10", "4.55", "cifar10", "none"),
        row("cifar10_plus", "EncapNet+, CIFAR-10", "3.13", "cifar10", "+"),
        row("cifar10_plusplus", "EncapNet++, CIFAR-10", "3.10 (3.56 ± 0.12)", "cifar10", "++"),
        row("cifar100", "EncapNet, CIFAR-100", "26.77", "cifar100", "none"),
        row("cifar100_plus", "EncapNet+, CIFAR-100", "24.01 (24.85 ± 0.11)", "cifar100", "+"),
        row("cifar100_plusplus", "EncapNet++, CIFAR-100", "24.18", "cifar100", "++"),
        row("svhn", "EncapNet, SVHN", "2.01", "svhn", "none"),
        row("svhn_plus", "EncapNet+, SVHN", "1.64", "svhn", "+"),
        row("svhn_plusplus", "EncapNet++, SVHN", "1.52 (1.87 ± 0.11)", "svhn", "++"),
        row("h_imagenet", "EncapNet v1, h-ImageNet", "48.23", "h_imagenet", "none"),
        row("h_imagenet_v2", "EncapNet v2, h-ImageNet", "43.15", "h_imagenet", "none", **v2),
        row("h_imagenet_v3", "EncapNet v3 (larger input), h-ImageNet", "42.76", "h_imagenet", "none", **v3),
        row("h_imagenet_v3_plus", "EncapNet v3+, h-ImageNet", "40.18", "h_imagenet", "+", **v3),
        row("h_imagenet_v3_plusplus", "EncapNet v3++, h-ImageNet", "40.05", "h_imagenet", "++", **v3),
        row("imagenet", "EncapNet-18, ImageNet", "7.51 (top-5)", "imagenet", "++"),
    ]


def _labels():
    """Return the ablation configurations that vary the training set size and the regularisation strength."""
    networks = {"encapnet": ({}, ()), "resnet18": ({"model": "resnet18"}, ("num_capsules",))}
    units = {
        "none": ("no feedback", {}),
        "two": ("two OTs, weight 10", {"feedback": "two", "feedback_weight": 10.0}),
        "two-0.1": ("two OTs, weight 0.1", {"feedback": "two", "feedback_weight": 0.1}),
    }
    return [
        Row(
            f"labels/{name}-{count}-{unit}",
            f"{name}, {labels:,} labels, {about}",
            {**network, **feedback, "train_limit": labels},
            recipe="fashion_mnist",
            keep=keep,
            baseline=None if unit == "none" else f"labels/{name}-{count}-none",
        )
        for count, labels in {"1k": 1_000, "5k": 5_000, "60k": 60_000}.items()
        for name, (network, keep) in networks.items()
        for unit, (about, feedback) in units.items()
    ]


def _feedback():
    """Return the ablation configurations that compare Sinkhorn-divergence regularisers on few labelled images.

    Half of the labelled images choose the epoch. All networks are trained for 320 steps.
    """
    data = {  # data set -> labelled images, batch size, epochs
        "digits": (400, 25, 40),
        "fashion_mnist": (2_000, 50, 16),
    }
    two: dict = {"feedback": "two"}
    units: dict[str, tuple[str, dict]] = {
        "none": ("no feedback", {}),
        "paper-10": ("the paper's units, weight 10", {**two, "feedback_weight": 10.0}),
        "paper-1": ("the paper's units, weight 1", {**two, "feedback_weight": 1.0}),
        "paper-0.1": ("the paper's units, weight 0.1", {**two, "feedback_weight": 0.1}),
        "release": (
            "units of the paper's release",
            {
                **two,
                "feedback_weight": 1.0,
                "feedback_modules": (3, 4),
                "cost": "euclidean",
                "generator": "conv",
                "differentiate_plan": True,
            },
        ),
        "paired": (
            "cosine of each image's features, lower layer held",
            {**two, "feedback_weight": 1.0, "divergence": "paired", "extractor": "none", "target_gradient": False},
        ),
        "pairs-aware": (
            "transport that sees pairs: wide frozen extractor, epsilon 0.05 of the mean cost",
            {
                **two,
                "feedback_weight": 1.0,
                "extractor": "wide",
                "extractor_objective": "frozen",
                "epsilon": 0.05,
                "relative_epsilon": True,
                "iterations": 50,
            },
        ),
    }
    return [
        Row(
            f"feedback/{dataset}-{unit}",
            f"{labels // 2:,} labels, {about}",
            {
                "model": "resnet18",
                "num_capsules": 4,
                "loss": "crossentropy",
                "augment": ("none",),
                "train_limit": labels,
                "validation_fraction": 0.5,
                "batch_size": batch_size,
                "epochs": epochs,
                **settings,
            },
            recipe=dataset,
            baseline=None if unit == "none" else f"feedback/{dataset}-none",
        )
        for dataset, (labels, batch_size, epochs) in data.items()
        for unit, (about, settings) in units.items()
    ]


def _capsule_networks():
    """Return the training configurations for a comparison of capsule networks with about 200,000 parameters."""
    small_encapnet: dict = {"depths": (1, 1, 1), "strides": (1, 2, 2)}
    networks: dict[str, tuple[str, dict]] = {
        "encapnet-master": (
            "EncapNet, master",
            {"routing": ("master",), **small_encapnet, "capsule_dims": (2, 4, 8), "num_capsules": 16},
        ),
        "encapnet": (
            "EncapNet, master/aide",
            {"depths": (1, 1, 1), "strides": (2, 2, 1), "capsule_dims": (4, 8, 8), "num_capsules": 4},
        ),
        "encapnet6": ("EncapNet-6, master/aide", {"model": "encapnet6", "num_capsules": 5}),
        "capnet": ("CapNet, dynamic routing", {"model": "capnet", "routing": ("dynamic",), "num_capsules": 5}),
        "capnet-em": (
            "CapNet, EM routing",
            {"model": "capnet", "routing": ("em",), "num_capsules": 5, "loss": "spread"},
        ),
        "sabour": ("CapsNet (Sabour)", {"model": "sabourcapsnet", "num_capsules": 3, "filters": 32}),
        "efficient": ("Efficient-CapsNet", {"model": "efficientcapsnet"}),
        "inverted": (
            "inverted attention",
            {"model": "invertedattentioncapsnet", "num_capsules": 8, "filters": 20, "loss": "crossentropy"},
        ),
        "self-routing": (
            "self-routing",
            {"model": "selfroutingcapsnet", "num_capsules": 4, "filters": 12, "loss": "crossentropy"},
        ),
        "plain-cnn": ("plain CNN", {"model": "plaincnn", "num_capsules": 11, "loss": "crossentropy"}),
        "resnet18": ("ResNet-18", {"model": "resnet18", "num_capsules": 4, "loss": "crossentropy"}),
    }
    return [
        Row(
            f"family/{name}",
            about,
            {**settings, "train_limit": 5_000, "epochs": 10, "batch_size": 64},
            recipe="fashion_mnist",
        )
        for name, (about, settings) in networks.items()
    ]


TABLES = {
    "table1": _table1(),
    "table3": _table3(),
    "table4": _table4(),
    "labels": _labels(),
    "feedback": _feedback(),
    "family": _capsule_networks(),
}


def select_rows(table: str, patterns: list[str]) -> list[Row]:
    """Return the ablation configurations whose names match wildcard patterns such as "table3/d*".

    Args:
        table: name of a table.
        patterns: names with or without the table's ("c2", "table3/d*"), or numbers that count the rows from 1 where the
            table has names only ("2" is cifar10_plus in table4); an empty list selects every row.

    Raises:
        UserError: a pattern matches no row.
    """
    rows = TABLES[table]
    names = [row.name for row in rows]
    patterns = [pattern if "/" in pattern else f"{table}/{pattern}" for pattern in patterns]
    if not any(_number(name) for name in names):
        patterns = [names[n - 1] if 0 < (n := _number(pattern)) <= len(names) else pattern for pattern in patterns]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(f"--rows: no row is called {pattern}. {table} has {', '.join(names)}.")
    return [row for row in rows if not patterns or any(fnmatchcase(row.name, pattern) for pattern in patterns)]


def _number(name: str) -> int:
    """Return the integer after the slash in a name such as "table3/2", or 0 if the text there is not an integer."""
    last = name.split("/")[1]
    return int(last) if last.isdecimal() else 0


def run_folder(out: Path, row: Row, seed: int | str) -> Path:
    """Return the folder path of the ablation training run with a given configuration and random seed."""
    return out / row.name.split("/")[1] / f"seed{seed}"
