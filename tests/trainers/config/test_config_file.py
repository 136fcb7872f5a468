"""`--config=FILE`: what it may hold, what overrides it, and what is said of a bad one."""

import argparse
import json

import pytest
from encapnet_tf.trainers.config import flags as config_file
from encapnet_tf.trainers.config.flags import add_flags
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.runs.errors import UserError


def configuration(*flags):
    parser = argparse.ArgumentParser()
    config_file.add_arguments(parser)
    add_flags(parser, skip=("recipe",))
    return config_file.configuration(parser.parse_args(flags))


@pytest.fixture
def written(tmp_path):
    def write(value):
        path = tmp_path / "settings.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return f"--config={path}"

    return write


def test_a_runs_file_and_its_settings_alone_are_the_same(written):
    config = resolve("digits", {"model": "encapnet18", "routing": ("master",), "epochs": 7, "augment": ("+", "mixup")})
    assert configuration(written({"config": config.to_json(), "versions": {}})) == config
    assert configuration(written(config.to_json())) == config


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_of_windows(tmp_path, encoding):
    """Notepad and PowerShell write byte order marks."""
    (tmp_path / "settings.json").write_bytes(b'{"epochs": 7}\r\n'.decode().encode(encoding))
    assert configuration(f"--config={tmp_path / 'settings.json'}").epochs == 7


def test_flags_override_the_file_and_the_file_its_recipe(written):
    file = written({"recipe": "fashion_mnist", "epochs": 7, "feedback": "half"})
    config = configuration(file, "--epochs=9", "--augment=mixup")
    assert (config.recipe, config.epochs, config.feedback) == ("fashion_mnist", 9, "half")
    assert config.depths == (1, 1, 1), "the recipe's"
    assert config.augment == ("none", "mixup")
    assert configuration(file, "--model=encapnet18").depths is None, "another network drops the file's own settings"


def test_without_a_file_the_recipe_counts():
    assert configuration() == resolve("digits", {})
    assert configuration("--recipe=fashion_mnist", "--seed=3") == resolve("fashion_mnist", {"seed": 3})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"config": {"epochs": 3', "is not JSON, or was cut off"),
        ("[1, 2]", "has no settings.*Found list"),
        ({"config": 3}, "has no settings.*Found int"),
        ({"epoch": 3}, r"Unknown settings in the configuration: epoch \(did you mean epochs\?\)"),
        ({"epochs": "many"}, "--epochs=many: expected a whole number"),
        ({"epochs": True}, "expected a whole number"),
        ({"epochs": None}, "expected a whole number"),
        ({"depths": 3}, "--depths=3: expected a list"),
        ({"depths": ["1"]}, "expected a whole number"),
        ({"dataset": 3}, "--dataset=3: expected text"),
        ({"data_dir": ["x"]}, "expected text"),
        ({"debias": "yes"}, "expected true or false"),
        ({"cost": "manhattan"}, "expected one of cosine"),
        ({"recipe": "digitz"}, "Unknown recipe 'digitz'"),
        ('{"epsilon": NaN}', "expected a finite number"),
    ],
)
def test_bad_files(written, content, message):
    with pytest.raises(UserError, match=message) as caught:
        configuration(written(content))
    assert "settings.json" in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        configuration(f"--config={tmp_path}/none.json")
    with pytest.raises(UserError, match=r"this is a folder\. Expected a file"):
        configuration(f"--config={tmp_path}")
    with pytest.raises(UserError, match="--recipe or --config, not both"):
        configuration("--recipe=digits", f"--config={tmp_path}/none.json")
