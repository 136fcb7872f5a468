"""Hyper-parameter search with KerasTuner, which is imported only when `EncapNetHyperModel` is used."""


def __getattr__(name):
    if name == "EncapNetHyperModel":
        from .hyper_model import EncapNetHyperModel

        return EncapNetHyperModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
