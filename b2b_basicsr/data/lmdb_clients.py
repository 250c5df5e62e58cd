"""BasicSR's LMDB clients, one a database and process.

LMDB must not be opened twice in a process (B and S may be shares of one database), nor used across a fork, and py-lmdb
refuses a child's own opening of what its parent has open. So clients are shared, and closed before a fork.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import Any

from basicsr.utils import FileClient

_KEY = 'pictures'
_clients: dict[str, Any] = {}
_lock = Lock()


def read_lmdb(root: str, options: dict[str, Any], name: str) -> bytes | None:
    """What a database holds under ``name``; ``None`` if there is nothing.

    Args:
        root: the database's folder.
        options: the ``io_backend`` section less its ``type``, for BasicSR's client.
        name: the key.
    """
    with _lock:
        if root not in _clients:
            _clients[root] = FileClient('lmdb', **{**options, 'db_paths': [root], 'client_keys': [_KEY]})
        content: bytes | None = _clients[root].get(name, _KEY)
    return content


def close_lmdb_clients() -> None:
    """Closes every database, so that others can open it; reading opens it again."""
    with _lock:
        _close()


def _close() -> None:
    for client in _clients.values():
        for environment in client.client._client.values():
            environment.close()
    _clients.clear()


def _prepare_fork() -> None:
    _lock.acquire()  # until the fork is done, so that no thread reads meanwhile
    _close()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(before=_prepare_fork, after_in_parent=_lock.release, after_in_child=_lock.release)
