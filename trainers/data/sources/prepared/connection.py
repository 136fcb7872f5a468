"""Quick check that the download servers of a data set can be reached.

TensorFlow Datasets (TFDS) repeats a failed download ten times, which takes minutes on a machine without a network.
"""

import json
import queue
import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ....runs.errors import UserError

_SECONDS = 5.0  # for all servers together, which are asked side by side
_MAX_SERVERS = 8  # one that answers is enough
_PORTS = {"http": 80, "https": 443, "ftp": 21, "socks5": 1080, "socks5h": 1080}


def raise_if_offline(builder, command: str) -> None:
    """Raise `UserError` if a TensorFlow Datasets data set must be downloaded but no server can be reached.

    Data sets that TFDS downloads nothing for, that are prepared, or of which a file was downloaded before, are left to
    TFDS. Behind a proxy the proxy is asked.

    Args:
        builder: the data set's TFDS builder.
        command: the command that prepares the data set, for the message.

    Raises:
        UserError: no server answers within 5 seconds; the message names them.
    """
    urls = list(getattr(builder, "url_infos", None) or ())
    if not urls or Path(builder.data_dir).exists() or _downloaded_urls(builder) & set(urls):
        return
    servers = list(dict.fromkeys(server for url in urls if (server := _host_and_port(url))))[:_MAX_SERVERS]
    if servers and not can_reach(servers):
        names = ", ".join(host for host, _ in servers)
        raise UserError(
            f"{builder.name} has to be downloaded, and no connection can be made to {names}. Run, with a network: "
            f"{command}. If that is on another machine, then copy the data set from there to {builder.data_dir}",
            status=1,
        )


def can_reach(servers: Iterable[tuple[str, int]], seconds: float = _SECONDS) -> bool:
    """Return whether at least one of several servers accepts a TCP connection within a time limit.

    Args:
        servers: (host, port) of each.
        seconds: limit for all of them together; looking up a name counts.
    """
    servers, answers = list(servers), queue.SimpleQueue[bool]()

    def connect(server):
        try:
            socket.create_connection(server, timeout=seconds).close()
        except OSError:  # also a name that cannot be resolved
            answers.put(False)
        else:
            answers.put(True)

    for server in servers:  # as daemons: the end of the process does not wait for a slow name server
        threading.Thread(target=connect, args=(server,), daemon=True).start()
    deadline = time.monotonic() + seconds
    try:
        return any(answers.get(timeout=max(0, deadline - time.monotonic())) for _ in servers)
    except queue.Empty:
        return False


def _host_and_port(url: str) -> tuple[str, int] | None:
    """Return the host and port of the server or proxy to which a download from a URL connects."""
    address = urlsplit(url)
    proxy = getproxies().get(address.scheme) or getproxies().get("all")
    if proxy and not proxy_bypass(address.netloc):
        address = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    port = address.port or _PORTS.get(address.scheme)
    return (address.hostname, port) if address.hostname and port else None


def _downloaded_urls(builder) -> set[str]:
    """Return the URLs of files downloaded earlier by TensorFlow Datasets, as listed in .INFO files on disk."""
    urls: set[str] = set()
    folder = Path(builder.data_dir_root) / "downloads"
    for file in (*folder.glob("*.INFO"), *folder.glob(f"{builder.name}/*.INFO")):
        try:
            urls |= set(json.loads(file.read_text(encoding="utf-8"))["urls"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not TFDS's
    return urls
