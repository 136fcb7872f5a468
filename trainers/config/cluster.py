"""Reading of the environment variable TF_CONFIG, which names the processes of a training on several machines."""

import os

from ..runs.errors import UserError
from ..runs.json_files import parse_json

_EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'


def read_cluster() -> dict:
    """Return the value of TF_CONFIG, or {} if it is not set.

    Raises:
        UserError: it is not JSON, or has values of other types than TensorFlow expects.
    """
    text = os.environ.get("TF_CONFIG", "")
    try:
        value = parse_json(text) if text else {}
        _check(value)
    except ValueError as error:
        raise UserError(
            f"The environment variable TF_CONFIG cannot be read: {error}. Expected something like {_EXAMPLE}. "
            f"Received: {text[:200]!r}."
        ) from None
    return value


def _check(value) -> None:
    """Raise ValueError if the parts of TF_CONFIG have the wrong types or do not belong together."""
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    cluster, task = value.get("cluster", {}), value.get("task", {})
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise ValueError("cluster and task must be objects")
    for kind, addresses in cluster.items():
        if not isinstance(addresses, list) or not all(isinstance(address, str) and address for address in addresses):
            raise ValueError(f"cluster.{kind} must be a list of addresses")
    if not task:
        return
    kind, index = task.get("type", "worker"), task.get("index", 0)
    if not isinstance(kind, str) or not isinstance(index, int) or isinstance(index, bool):
        raise ValueError("task.type must be text and task.index a whole number")
    if cluster and not 0 <= index < len(cluster.get(kind, ())):
        raise ValueError(f"task is {kind} {index}, which the cluster does not have")
