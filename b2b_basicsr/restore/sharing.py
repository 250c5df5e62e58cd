"""Files shared between processes and machines: none twice, none left out."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

from b2b_basicsr.errors import UserError
from b2b_basicsr.restore.inputs import Job

_PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True)
class Share:
    """The part that one of many processes does.

    Args:
        rank: of this process, from 0.
        processes: how many there are.
    """

    rank: int = 0
    processes: int = 1

    @classmethod
    def from_environment(cls) -> Share:
        """As torchrun says it, in ``RANK`` and ``WORLD_SIZE``; without them there is one process.

        Raises:
            UserError: if they make no sense.
        """
        said = {name: os.environ.get(name) for name in ('RANK', 'WORLD_SIZE')}
        if said['RANK'] is None and said['WORLD_SIZE'] is None:
            return cls()
        try:
            share = cls(int(said['RANK'] or ''), int(said['WORLD_SIZE'] or ''))
        except ValueError:
            share = cls(0, 0)
        if not 0 <= share.rank < share.processes:
            raise UserError(
                f'RANK={said["RANK"]} and WORLD_SIZE={said["WORLD_SIZE"]} in the environment: give both, RANK from 0 '
                'to below WORLD_SIZE, as torchrun does'
            )
        return share

    def of(self, jobs: Sequence[Job]) -> list[Job]:
        """This process's jobs: every n-th picture, and every n-th video, counted from the other end.

        It depends on the list alone, so every process must see the same list: of all files, done or not.
        """
        pictures = [job for job in jobs if not job.is_video]
        videos = [job for job in jobs if job.is_video]
        mine = {
            *pictures[self.rank :: self.processes],
            *videos[self.processes - 1 - self.rank :: self.processes],
        }
        return [job for job in jobs if job in mine]


class Meeting:
    """Where processes that torchrun started wait for each other.

    torchrun ends all processes as soon as one ends with an exit status other than 0; one that could not do some file
    therefore must not end before the others are done.

    Args:
        share: of this process.
        store: of ``torch.distributed``; ``None``: it is alone, or knows no address to meet at.
    """

    def __init__(self, share: Share, store: Any = None) -> None:
        self._share = share
        self._store = store

    @classmethod
    def join(cls, share: Share) -> Meeting:
        """Connects to the address in ``MASTER_ADDR`` and ``MASTER_PORT``, where torchrun says one.

        Raises:
            UserError: if nobody is there for ten minutes.
        """
        if share.processes == 1 or not {'MASTER_ADDR', 'MASTER_PORT'} <= os.environ.keys():
            return cls(share)
        from torch.distributed.rendezvous import rendezvous

        try:
            store, _, _ = next(iter(rendezvous('env://', share.rank, share.processes, timeout=_PATIENCE)))
        except RuntimeError as cause:
            place = f'{os.environ["MASTER_ADDR"]}:{os.environ["MASTER_PORT"]}'
            raise UserError(
                f'process {share.rank + 1} of {share.processes} met nobody at {place} (MASTER_ADDR, MASTER_PORT): '
                'start all processes, or leave both variables out, and each does its share alone'
            ) from cause
        return cls(share, store)

    @property
    def is_shared(self) -> bool:
        """Whether the processes hear of each other."""
        return self._store is not None

    def exchange(self, outcome: Any) -> list[Any]:
        """Waits for all, however long it takes.

        Args:
            outcome: of this process; anything that JSON takes.

        Returns:
            The outcomes of all processes, by rank; where they cannot meet, of this one alone.
        """
        if self._store is None:
            return [outcome]
        self._store.set(f'outcome/{self._share.rank}', json.dumps(outcome))
        ranks = range(self._share.processes)
        self._wait_for([f'outcome/{rank}' for rank in ranks])
        outcomes = [json.loads(self._store.get(f'outcome/{rank}')) for rank in ranks]
        self._store.set(f'left/{self._share.rank}', '')
        try:
            self._wait_for([f'left/{rank}' for rank in ranks], every=0.02)
        except RuntimeError:  # the first may hold the store, and has seen all the others leave
            if self._share.rank == 0:
                raise
        return outcomes

    def end(self, status: int) -> NoReturn:
        """Ends the process, of those that meet at once: torchrun kills whoever is slower to end than the first."""
        if self.is_shared:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        raise SystemExit(status)

    def _wait_for(self, keys: list[str], every: float = 0.2) -> None:
        while not self._store.check(keys):  # not its wait(), in which no signal is heard
            time.sleep(every)
