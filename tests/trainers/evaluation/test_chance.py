"""Accuracy that cannot be told from guessing, and the sentences that runs, searches and ablations say about it."""

import numpy as np
import pytest
from encapnet_tf.trainers.ablation import table
from encapnet_tf.trainers.evaluation.chance import guessing_limit, is_guessing
from encapnet_tf.trainers.report.summary_sections import guessing_warning
from encapnet_tf.trainers.search.records import ranking_warning


def test_a_guesser_is_below_the_limit_as_often_as_two_standard_errors_say():
    rng = np.random.default_rng(0)
    labels = rng.choice(3, 400, p=(0.5, 0.3, 0.2))
    share, limit = np.bincount(labels).max() / 400, guessing_limit(labels)
    assert limit == pytest.approx(share + 2 * np.sqrt(share * (1 - share) / 400))
    guesses = rng.binomial(400, share, 2000) / 400
    assert 0.95 < np.mean([is_guessing(accuracy, limit) for accuracy in guesses]) < 0.99


def test_limits_of_few_images_and_old_files():
    assert guessing_limit([1, 1, 1]) == 1
    assert guessing_limit([0, 1]) == 1  # of two images, both may be right by chance
    assert not is_guessing(0.0, None)


def test_a_run_says_that_it_guesses():
    summary = {"validation_accuracy": 0.11, "validation_guessing_limit": 0.162, "validation_images": 144}
    assert "not better than guessing: a validation accuracy of up to 16.20%" in guessing_warning(summary)
    assert guessing_warning({**summary, "validation_accuracy": 0.17}) is None
    del summary["validation_guessing_limit"]  # version 0.1
    assert guessing_warning(summary) is None


def test_a_search_says_that_chance_ranks_it():
    def trials(*accuracies, limit=0.162):
        return [
            {"trial": f"000{i}", "validation_accuracy": accuracy, "guessing_limit": limit}
            for i, accuracy in enumerate(accuracies)
        ]

    assert ranking_warning([]) is None
    assert ranking_warning(trials(0.9, 0.8)) is None
    assert "not better than guessing (validation accuracy 11.00%; up to 16.20%" in ranking_warning(trials(0.11, 0.1))
    assert "2 trials have the best one's validation accuracy of 90.00% (trials 0000, 0001)" in ranking_warning(
        trials(0.9, 0.9, 0.8, limit=None)
    )


def test_an_ablation_names_the_rows_that_guess(tmp_path):
    entries = [
        {"row": "table3/1", "errors": [90.0, 89.0], "guessing": 2},
        {"row": "table3/2", "errors": [90.0, 4.0], "guessing": 1},
        {"row": "table3/3", "errors": [4.0], "guessing": 0},
    ]
    text = table._guessing_warning(entries)
    assert text.startswith("Runs that are not better than guessing: table3/1 (2 of 2), table3/2 (1 of 2). ")
    assert table._guessing_warning(entries[2:]) == ""
