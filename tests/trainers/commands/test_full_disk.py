"""Verbs that write while no byte can be written: one sentence, status 1, and every file as it was."""

import contextlib
import errno
import hashlib
import logging
import resource
import shutil
from unittest import mock

import keras_tuner
import pytest
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.output_files import write_output
from encapnet_tf.trainers.search.oracles import serve


@contextlib.contextmanager
def full_disk():
    """Let every write to a file fail, as on a full disk; Python ignores the signal that comes with it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).digest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "lock" and path.stat().st_size
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "one"],
        pytest.param(["report", "one", "two", "--out=page.html"], marks=pytest.mark.ci),
        pytest.param(["export", "one", "--tflite=", "--images=10"], marks=pytest.mark.ci),
        ["data", "check", "--out=picture.png"],
        ["data", "hardest", "--model=one"],
        ["tune", "--trials=1", "--out=search", "--train_limit=100", "--epochs=1"],
        ["ablate", "--rows=a", "--train_limit=100", "--epochs=1", "--out=rows"],
        ["train", "--train_limit=100", "--epochs=1", "--run_dir=new"],
    ],
    ids=lambda arguments: " ".join(arguments[:3]),
)
def test_nothing_is_lost_or_half_written(encapnet, tmp_path, trained_run, arguments):
    for name in ("one", "two"):
        shutil.copytree(trained_run.path, tmp_path / name)
    (tmp_path / "page.html").write_text("earlier")
    before = contents(tmp_path)
    with full_disk():
        result = encapnet(*arguments)
    assert result.status == 1, result.stderr
    assert "File too large" in result.stderr + result.stdout
    assert contents(tmp_path) == before


def test_a_full_disk_leaves_no_traceback_in_the_log_of_a_searchs_server(caplog):
    oracle = mock.Mock(spec=keras_tuner.Oracle)
    server, _ = serve(oracle, "localhost:0")
    server.stop(0)
    log = logging.getLogger("grpc._server")
    for error in (OSError(errno.ENOSPC, "full"), ValueError("a bug")):
        log.error("Exception calling application", exc_info=error)
    assert [record.exc_info[1].args for record in caplog.records] == [("a bug",)]


def test_output_files_are_written_whole(tmp_path):
    (tmp_path / "page.html").write_text("earlier")
    (tmp_path / "link.html").symlink_to("page.html")
    with full_disk(), pytest.raises(UserError, match=r"Cannot write .*page.html: File too large\. Nothing was changed"):
        write_output(tmp_path / "page.html", "new")
    assert (tmp_path / "page.html").read_text() == "earlier"
    write_output(tmp_path / "link.html", "new")
    assert (tmp_path / "page.html").read_text() == "new"
    assert (tmp_path / "link.html").is_symlink()
    assert write_output(tmp_path / "deep" / "er" / "a.png", b"1").read_bytes() == b"1"
    write_output("/dev/null", "nothing")
