"""Settings in which configurations differ, those of other versions of the library among them."""

import pytest
from encapnet_tf.trainers.config.differences import differing_settings, setting_text
from encapnet_tf.trainers.config.schema import Config


def test_values_of_all_configurations():
    configs = [Config(seed=3).to_json(), Config(depths=(1, 1)).to_json(), Config(seed=3).to_json()]
    assert differing_settings(configs) == {"depths": [None, [1, 1], None], "seed": [3, 0, 3]}
    assert differing_settings(configs[:1]) == differing_settings([]) == {}


def test_a_missing_setting_has_its_default():
    earlier = {key: value for key, value in Config().to_json().items() if key not in ("augment", "compose")}
    assert differing_settings([earlier, Config().to_json()]) == {}
    assert differing_settings([earlier, Config(augment=("affine",)).to_json()]) == {"augment": [["none"], ["affine"]]}


def test_unknown_settings_come_last():
    later = Config(seed=1).to_json() | {"a_later_setting": [2]}
    assert differing_settings([Config().to_json(), later]) == {"seed": [0, 1], "a_later_setting": [None, [2]]}


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "default"), (True, "true"), (0.003, "0.003"), ([1, 2], "1,2"), (["+", "mixup"], "+,mixup"), ("a", "a")],
)
def test_texts(value, text):
    assert setting_text(value) == text
