"""A setting is added in one place: a new field of the schema reaches flags, files, networks, units and searches."""

import argparse
import json
from dataclasses import dataclass

import pytest
from encapnet_tf.trainers.config import flags, schema
from encapnet_tf.trainers.config.config_file import read_config
from encapnet_tf.trainers.config.recipes import RECIPES, Recipe, resolve
from encapnet_tf.trainers.config.setting import Search, setting
from encapnet_tf.trainers.fitting.network import build, takes
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.search.space import Axis, Space


@dataclass(frozen=True)
class Extended(schema.Config):
    """The schema with a network setting and a setting of the feedback units that it does not have today."""

    aide_excludes_own: bool | None = setting(
        "Whether aides are blind to their own capsule.", network=True, search=Search(usual=[True, False])
    )
    unit_solver: str = setting("Sinkhorn solver.", "fast", choices=("fast", "plain"), unit_argument="solver")
    temperature: float | None = setting("A number.", least=0.0, search=Search(refusal="it is only a test"))


NEW = {"aide_excludes_own": True, "unit_solver": "plain", "temperature": 0.5}


@pytest.fixture(autouse=True)
def extended(monkeypatch):
    """The extended schema in place of today's, and a recipe of it."""
    monkeypatch.setattr(schema, "Config", Extended)
    monkeypatch.setitem(RECIPES, "digits", Recipe(Extended(**RECIPES["digits"].config.__dict__), "about"))


def test_flags_and_help():
    parser = argparse.ArgumentParser()
    flags.add_arguments(parser)
    flags.add_flags(parser, skip=("recipe",))
    assert "--unit_solver TEXT Sinkhorn solver. One of: fast, plain." in " ".join(parser.format_help().split())
    args = parser.parse_args(["--aide_excludes_own=true", "--unit_solver=plain", "--temperature=0.5"])
    assert flags.flag_values(args) == NEW
    assert flags.configuration(args) == resolve("digits", NEW)
    with pytest.raises(UserError, match=r"--temperature=-1\.0: expected at least 0"):
        resolve("digits", {"temperature": -1.0})


def test_config_json(tmp_path):
    config = resolve("digits", NEW)
    (tmp_path / "config.json").write_text(json.dumps({"config": config.to_json()}))
    assert read_config(tmp_path / "config.json") == config
    assert Extended.from_json(config.to_json()) == config
    with pytest.raises(UserError, match="--aide_excludes_own=yes: expected true or false"):
        Extended.from_json({"aide_excludes_own": "yes"})


def test_network_and_unit():
    model = build(resolve("digits", {"feedback": "half", **NEW}), (8, 8, 1), 10)
    assert model.get_layer("module1_type1").aide_excludes_own is True
    assert model.get_layer("module1_feedback_half").solver == "plain"
    assert not takes("resnet18", "aide_excludes_own")
    with pytest.raises(UserError, match="--model=resnet18 has no setting aide_excludes_own"):
        build(resolve("digits", {"model": "resnet18", "aide_excludes_own": True}), (8, 8, 1), 10)


def test_another_network_resets_it():
    config = resolve("digits", NEW)
    assert flags.override(config, {"model": "encapnet18"}).aide_excludes_own is None


def test_search_space():
    base = resolve("digits", {"feedback": "two"})
    space = Space.parse("aide_excludes_own,unit_solver")
    assert space.axes == (
        Axis("aide_excludes_own", values=(True, False)),
        Axis("unit_solver", values=("fast", "plain")),
    )
    space.check(base)
    config = space.configured(base, {"aide_excludes_own": True, "unit_solver": "plain"})
    assert (config.aide_excludes_own, config.unit_solver) == (True, "plain")
    with pytest.raises(UserError, match="no feedback units, so unit_solver would change nothing"):
        Space.parse("unit_solver").check(resolve("digits", {}))
    with pytest.raises(UserError, match="cannot be searched, because it is only a test"):
        Space.parse("temperature=0:1")
