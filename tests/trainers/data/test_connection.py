"""`encapnet data prepare` without a network: it answers at once, and only where a download is needed."""

import json
import socket
import threading
import time
from types import SimpleNamespace

import pytest
from encapnet_tf.trainers.data.sources.prepared import connection
from encapnet_tf.trainers.data.sources.prepared.connection import can_reach, raise_if_offline
from encapnet_tf.trainers.runs.errors import UserError


@pytest.fixture
def server():
    """The (host, port) of a server on this machine that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()


@pytest.fixture
def closed():
    """A (host, port) of this machine where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
    return address


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setattr(connection, "getproxies", dict)


def builder(folder, *servers):
    urls = {f"http://{host}:{port}/images.tar": None for host, port in servers}
    return SimpleNamespace(name="shapes", url_infos=urls, data_dir=folder / "shapes/1.0.0", data_dir_root=folder)


def test_one_server_that_answers_is_enough(server, closed):
    assert can_reach([closed, server])
    assert not can_reach([closed])
    assert not can_reach([("no-such-host.invalid", 80), closed])


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    test_ends = threading.Event()

    def wait(*_, **__):
        test_ends.wait(100)
        raise TimeoutError

    monkeypatch.setattr(connection.socket, "create_connection", wait)
    start = time.monotonic()
    assert not can_reach([("10.0.0.1", 80), ("10.0.0.2", 80)], seconds=0.2)
    assert time.monotonic() - start < 20
    test_ends.set()


def test_offline_is_told_with_the_servers_and_the_command(tmp_path, closed, server):
    with pytest.raises(
        UserError,
        match=r"no connection can be made to 127.0.0.1\. Run, with a network: encapnet data.* copy .* to .*shapes",
    ) as e:
        raise_if_offline(builder(tmp_path, closed), "encapnet data prepare --dataset=shapes")
    assert e.value.status == 1
    raise_if_offline(builder(tmp_path, closed, server), "")


def test_what_needs_no_download_needs_no_network(tmp_path, closed):
    raise_if_offline(SimpleNamespace(name="made here", data_dir=tmp_path), "")
    needs_download = builder(tmp_path, closed)
    info = tmp_path / "downloads/shapes/images.tar.INFO"
    info.parent.mkdir(parents=True)
    info.with_name("half.INFO").write_text("{")
    info.write_text(json.dumps({"urls": list(needs_download.url_infos)}))
    raise_if_offline(needs_download, "")
    info.unlink()
    with pytest.raises(UserError):
        raise_if_offline(needs_download, "")
    needs_download.data_dir.mkdir(parents=True)
    raise_if_offline(needs_download, "")


def test_behind_a_proxy_the_proxy_is_asked(tmp_path, monkeypatch, server, closed):
    """The name of the data set's own server cannot be resolved there."""
    hidden = builder(tmp_path, ("no-such-host.invalid", 80))
    for address, proxy in ((server, f"http://127.0.0.1:{server[1]}"), (closed, f"127.0.0.1:{closed[1]}")):
        monkeypatch.setattr(connection, "getproxies", lambda proxy=proxy: {"http": proxy})
        assert connection._host_and_port(next(iter(hidden.url_infos))) == address
    with pytest.raises(UserError):
        raise_if_offline(hidden, "")
