"""JSON files with the wrong syntax, the wrong types, and too many levels."""

import json

import pytest
from encapnet_tf.trainers.config.cluster import read_cluster
from encapnet_tf.trainers.config.config_file import read_config
from encapnet_tf.trainers.runs.atomic_folder import AtomicFolder
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.json_files import TYPES, parse_json, parse_json_lines

DEEP = "[" * 5000 + "]" * 5000
VALUES = [None, True, 3, -1, 10**400, "x", [], [3], {}, float("nan")]


def test_deep_nesting_and_wrong_lines_are_value_errors():
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(DEEP)
    with pytest.raises(ValueError, match="line 2 is a list and not an object"):
        parse_json_lines('{"epoch": 1}\n[3]\n')


@pytest.mark.parametrize("file", TYPES)
def test_every_typed_value_is_checked(file, tmp_path):
    """Each key of each file refuses some of the values with its own name, and takes others."""
    folder = AtomicFolder(tmp_path)
    read = folder.read_json_lines if file.endswith(".jsonl") else folder.read_json
    for key in TYPES[file]:
        refused = 0
        for value in VALUES:
            (tmp_path / file).write_text(json.dumps({key: value}))
            try:
                read(file)
            except UserError as error:
                refused += f"{key} must be" in str(error)
        assert 0 < refused < len(VALUES)
    (tmp_path / file).write_text(DEEP)
    with pytest.raises(UserError, match="nested too deeply"):
        read(file)
    (tmp_path / file).write_bytes(b"\xff\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read(file)


def test_a_configuration_file_of_5000_levels(tmp_path):
    (tmp_path / "deep.json").write_text(DEEP)
    with pytest.raises(UserError, match="nested too deeply"):
        read_config(tmp_path / "deep.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DEEP, "nested too deeply"),
        ("{", "cannot be read"),
        ("3", "not a JSON object"),
        ('{"cluster": 3}', "must be objects"),
        ('{"task": []}', "must be objects"),
        ('{"cluster": {"worker": "host:1"}}', "cluster.worker must be a list of addresses"),
        ('{"cluster": {"worker": [3]}}', "cluster.worker must be a list of addresses"),
        ('{"task": {"index": "0"}}', "task.index a whole number"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 3}}', "which the cluster does not have"),
    ],
)
def test_tf_config(text, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match=message) as error:
        read_cluster()
    assert len(str(error.value)) < 600
