"""Suggestions for misspelt names: what a user may have typed, and what is meant."""

import itertools
import random

import pytest
from encapnet_tf.trainers.commands.cli import VERBS
from encapnet_tf.trainers.config.recipes import RECIPES
from encapnet_tf.trainers.config.schema import NETWORKS, settings
from encapnet_tf.trainers.config.suggestions import did_you_mean, similar_names, spelling_mistakes

FLAGS = [f"--{setting.name}" for setting in settings()] + ["--run_dir", "--resume", "--config", "--help"]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("--lr", "--learning_rate"),
        ("--learning-rate", "--learning_rate"),
        ("--LearningRate", "--learning_rate"),
        ("--leraning_rate", "--learning_rate"),
        ("--rate", "--learning_rate"),
        ("--wd", "--weight_decay"),
        ("--weight_decy", "--weight_decay"),
        ("--epoch", "--epochs"),
        ("--num_epochs", "--epochs"),
        ("--batch", "--batch_size"),
        ("--optimiser", "--optimizer"),
        ("--optim", "--optimizer"),
        ("--rundir", "--run_dir"),
        ("--random_seed", "--seed"),
        ("--augmentation", "--augment"),
        ("--val_fraction", "--validation_fraction"),
        ("--jit", "--jit_compile"),
        ("--determinism", "--deterministic"),
        ("--capsules", "--num_capsules"),
        ("trian", "train"),
        ("eval", "evaluate"),
        ("evalute", "evaluate"),
        ("reprot", "report"),
        ("tuen", "tune"),
        ("ablation", "ablate"),
        ("exprot", "export"),
        ("digitz", "digits"),
        ("fashion", "fashion_mnist"),
        ("cifra10", "cifar10"),
        ("CIFAR-10", "cifar10"),
        ("imagnet", "imagenet"),
        ("encapnet-18", "encapnet18"),
        ("capsnet", "capnet"),
    ],
)
def test_what_is_meant(word, name):
    assert similar_names(word, [*FLAGS, *VERBS, *RECIPES, *NETWORKS])[0] == name


@pytest.mark.parametrize("word", ["--dropout", "--gpu", "--x", "--l", "--", "", "search", "foo", "rmsprop"])
def test_nothing_is_meant(word):
    assert similar_names(word, [*FLAGS, *VERBS, *RECIPES, *NETWORKS]) == []


def test_one_mistake_is_always_mended():
    """Any letter left out, doubled or exchanged with the next, in a quarter of the longer flags."""
    for flag, i in itertools.product(FLAGS[::4], range(2, 12, 3)):
        if len(flag) > 8 and i + 1 < len(flag):
            for word in (
                flag[:i] + flag[i + 1 :],
                flag[:i] + flag[i] + flag[i:],
                flag[:i] + flag[i + 1] + flag[i] + flag[i + 2 :],
            ):
                assert word in FLAGS or flag in similar_names(word, FLAGS), (word, flag)


def test_the_text_names_up_to_three():
    assert did_you_mean("lr", ["learning_rate"]) == " (did you mean learning_rate?)"
    assert did_you_mean("data", ["dataset", "data_dir", "x"]) == " (did you mean dataset or data_dir?)"
    assert did_you_mean("cat", ["cat1", "cat2", "cat3", "cat4"]) == " (did you mean cat1, cat2 or cat3?)"
    assert did_you_mean("cat", ["horse"]) == ""
    assert did_you_mean("cat", []) == ""


def test_spelling_mistakes():
    assert spelling_mistakes("trian", "train") == 1
    assert spelling_mistakes("kitten", "sitting") == 3
    assert spelling_mistakes("", "abc") == 3
    draw = random.Random(0)
    for _ in range(200):
        a, b, c = ("".join(draw.choices("ab", k=draw.randrange(5))) for _ in range(3))
        assert spelling_mistakes(a, b) == spelling_mistakes(b, a)
        assert (spelling_mistakes(a, b) == 0) == (a == b)
        assert spelling_mistakes(a + c, b + c) <= spelling_mistakes(a, b)
