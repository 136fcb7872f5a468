"""One tiny run with feedback units, a decoder and its export, made once for all test processes."""

from types import SimpleNamespace

import pytest

from tests.export.verification_in_process import verify_in_this_process


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark every test of the exported run `ci`: training and exporting it takes half a minute."""
    for item in items:
        if "exported" in item.fixturenames and not item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.ci)


@pytest.fixture(scope="session")
def exported(shared_folder):
    """Return `.run` and `.path`, the folders of a run on the digits and of its export."""
    folder = shared_folder("exported", _make)
    return SimpleNamespace(run=folder / "runs" / "digits" / "tiny", path=folder / "exports" / "digits")


@pytest.fixture
def runtimes_in_this_process(monkeypatch):
    """Verify SavedModels in this process, to save starting two others; `exported` has been verified in those."""
    verify_in_this_process(monkeypatch)


def _make(folder):
    from encapnet_tf.export.commands.export import export_run
    from encapnet_tf.trainers.config.recipes import resolve
    from encapnet_tf.trainers.fitting.train import train

    tiny = {
        "num_capsules": 8,
        "depths": (0,),
        "capsule_dims": (4,),
        "strides": (2,),
        "feedback": "half",
        "reconstruction": "dense",
    }
    config = resolve("digits", {**tiny, "feedback_weight": 0.01, "epochs": 8, "learning_rate": 1e-2})
    run, _ = train(config, folder / "runs" / "digits" / "tiny")
    export_run(run.path, out=folder / "exports")
