"""Hyper-parameter search with KerasTuner."""


def __getattr__(name):
    if name == "EncapNetHyperModel":
        from .hyper_model import EncapNetHyperModel

        return EncapNetHyperModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
