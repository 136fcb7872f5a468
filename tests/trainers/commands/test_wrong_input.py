"""Messages and exit statuses of the command for wrong input."""

import contextlib
import sys
from types import SimpleNamespace
from unittest import mock

import pytest
from encapnet_tf.trainers.commands import cli
from encapnet_tf.trainers.runs.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--recipe=digitz"], " (did you mean digits?)"),
        (["train", "--epoch=3"], "unrecognized arguments: --epoch=3 (did you mean --epochs?)"),
        (["train", "--lr=0.1"], "unrecognized arguments: --lr=0.1 (did you mean --learning_rate?)"),
        (["train", "--nothing_like_it"], "unrecognized arguments: --nothing_like_it\n"),
        (["--epochs=3", "train"], "flags follow the subcommand: encapnet train --epochs=3)"),
        (["train", "--epochs=abc"], "encapnet train: --epochs=abc: must be an integer.\n"),
        (["train", "--depths=1,x"], "--depths=1,x: must be integers separated by commas.\n"),
        (["train", "--model=encapne18"], "selfroutingcapsnet (did you mean encapnet18?)"),
        (["ablate", "--seeds=some"], "--seeds=some: must be an integer.\n"),
        (["train", "--epochs=0"], "--epochs=0: expected at least 1"),
        (["train", "--batch_size=5000"], "more than the 1293 training images"),
        (["train", "--depths=1,1,1"], "one entry of capsule_dims per module"),
        (["train", "--run_dir=a b"], "letters, digits"),
        (["train", "--recipe=fashion_mnist", "--data_dir=nowhere"], "Fashion-MNIST was not found; there is no nowhere"),
        (["train", "--data_dir=photos"], "--data_dir=photos: the data set digits is not read from there"),
        (["tune", "--data_dir=a.npz"], "Did you mean --dataset=npz --data_dir=a.npz?"),
        (["ablate", "--data_dir=photos"], "Did you mean --dataset=folder --data_dir=photos?"),
        (["data", "check", "--data_dir=photos"], "Did you mean --dataset=folder --data_dir=photos?"),
        (["train", "--dataset=npz"], "needs --data_dir=FILE.npz"),
        (["train", "--dataset=folder"], "needs --data_dir=FOLDER"),
        (["train", "--augment=sepia"], "--augment=sepia: expected one of none"),
        (["train", "--config=nowhere.json"], "there is no file nowhere.json"),
        (["train", "--early_stopping=-1"], "--early_stopping=-1: expected at least 0"),
        (["train", "--init_weights=nowhere"], "--init_weights=nowhere: there is no such file or folder"),
        (["train", "--continue_from=nowhere", "--epochs=3"], "There is no run at nowhere"),
        (["train", "--resume=one", "--continue_from=two"], "Give one of the two"),
        (["train", "--resume=one", "--dry_run"], "--dry_run describes a new run"),
        (["tune", "--early_stopping=3"], "--early_stopping=3 does not go with a search: every trial trains for all"),
        (["ablate", "--init_weights=run"], "unrecognized arguments: --init_weights=run"),
        (["tune", "--workers=0"], "--workers=0: expected at least 1"),
        (["tune", "--retrain=1", "--retrain_epochs=0"], "--retrain_epochs=0: expected at least 1"),
        (["tune", "--resume", "--out=nowhere"], "There is no search at nowhere"),
        (["tune", "--feedback=none"], "would change nothing"),
        (["tune", "--search=lamda"], "cannot be searched"),
        (["tune", "--recipe=fashion_mnist", "--epsilon=0"], "--epsilon=0.0: expected at least"),
        (["data"], "required: ACTION"),
        (["data", "chekc"], " (did you mean check?)"),
        (["data", "check", "--recipe=fashion_mnist", "--data_dir=nowhere"], "Fashion-MNIST was not found"),
        (["data", "prepare", "--dataset=digits"], "needs no preparing by TensorFlow Datasets: scikit-learn brings it"),
        (["data", "prepare", "--dataset=NPZ"], "--dataset=npz needs no preparing by TensorFlow Datasets: it reads"),
        (["trian"], "(did you mean train?)"),
        ([], "required: VERB"),
        (["evaluate", "nowhere"], "There is no run at nowhere"),
        (["evaluate", "digits"], "digits is a preset, not a run: its test accuracy is 99.72%"),
        (["report", "nowhere"], "There is no run at nowhere"),
        (["runs"], "There is no folder runs: `encapnet train` makes it"),
        (["runs", "nowhere"], "There is no folder nowhere"),
        (["runs", "--sort=bset"], " (did you mean best?)"),
        (["evaluate"], "required: run"),
        (["ablate", "--rows=z"], "no row is called table3/z"),
        (["tune", "--optimizer=adamw", "--search=l2=0:0.1"], "--optimizer=adamw: l2 would change nothing"),
    ],
)
def test_wrong_input_exits_with_2_and_one_message(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["encapnet", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    verb = next((argument for argument in arguments if argument in cli.VERBS), None)
    assert error.startswith(f"encapnet {verb}" if verb else "encapnet: ")
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())  # nothing was begun


def test_an_unread_data_dir_is_refused_as_a_flag_only(tmp_path):
    """Configurations of earlier runs hold what was typed then."""
    (tmp_path / "config.json").write_text('{"dataset": "digits", "data_dir": "photos"}')
    for flags in ([], ["--data_dir=photos"]):
        args = cli._parse(["encapnet", "train", f"--config={tmp_path / 'config.json'}", *flags])
        with pytest.raises(UserError, match="is not read from there") if flags else contextlib.nullcontext():
            args.check(args)


def test_an_interruption_says_no_more_than_it_knows(capsys):
    """Earlier rows of an ablation, for one, are there."""
    main = mock.Mock(side_effect=KeyboardInterrupt)
    assert (
        cli._run(SimpleNamespace(verb="ablate", check=None, needs_keras=False, main=main, outlasts_terminal=True))
        == 130
    )
    assert capsys.readouterr().err == "encapnet ablate: interrupted.\n"
