"""Pretrained networks that are part of the package, each in a folder with its weights and a model card."""

from encapnet_tf.models.presets.preset import Preset, preset_names, read_preset

__all__ = ["Preset", "preset_names", "read_preset"]
