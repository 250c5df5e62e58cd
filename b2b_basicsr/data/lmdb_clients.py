"""BasicSR's LMDB clients, one a database and process.

LMDB must not be opened twice in a process (B and S may be shares of one database), nor used across a fork, and py-lmdb
refuses a child's own opening of what its parent has open. So clients are shared, and closed before a fork.
"""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock
from typing import Any

from basicsr.utils import FileClient

from b2b_basicsr.errors import UserError

_KEY = 'pictures'
_clients: dict[str, Any] = {}
_lock = Lock()


def read_lmdb(root: str, options: dict[str, Any], name: str) -> bytes | None:
    """What a database holds under ``name``; ``None`` if there is nothing.

    Args:
        root: the database's folder.
        options: the ``io_backend`` section less its ``type``, for BasicSR's client.
        name: the key.

    Raises:
        UserError: if the database is cut off.
        lmdb.Error: if it cannot be read.
    """
    with _lock:
        if root not in _clients:
            client = FileClient('lmdb', **{**options, 'db_paths': [root], 'client_keys': [_KEY]})
            _refuse_cut_off(root, client)
            _clients[root] = client
        content: bytes | None = _clients[root].get(name, _KEY)
    return content


def _refuse_cut_off(root: str, client: Any) -> None:
    """The database is mapped into memory: reading what a file lacks would end the process with SIGBUS."""
    environment = client.client._client[_KEY]
    needed = (environment.info()['last_pgno'] + 1) * environment.stat()['psize']
    there = Path(root, 'data.mdb').stat().st_size
    if there < needed:
        environment.close()
        raise UserError(f'{root} is cut off: data.mdb has {there} bytes of at least {needed}; copy or make it again')


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
