"""
A process with a store, for tests that kill or trace it: ``python -m tests.store.child <mode> <state-dir>``.

It prints a line for whatever the store has answered, at once.
"""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from resttorrent.errors import EngineError
from resttorrent.store.refusals import StoreRefusal
from resttorrent.store.store import Store
from tests.store.support import SESSION, infohash, session_record, torrent_record

# The store's thread sees time pass this much faster, so that a retry after seconds comes in an instant.
HASTE = 200
# Seconds after which a child ends itself, so that no test waits for one for ever.
LIFETIME = 60


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def write(store: Store) -> None:
    """Add, stop and remove for ever; groups of seven, so that groups and single calls both occur."""
    await store.add_session(session_record())
    number = 0
    while True:
        batch = range(number, number + 7)
        number += 7
        for i in batch:
            record = torrent_record(i, stopped=False)
            store.add_torrent(record, b"m" * 3000).addCallback(partial(added, i))
        await store.set_stopped(SESSION, infohash(batch[2]), True, None)
        say("stopped", batch[2])
        await store.remove_torrent(SESSION, infohash(batch[4]))
        say("removed", batch[4])
        await store.save_resume(SESSION, infohash(batch[0]), b"r%d" % number, b"row", True)
        say("saved", batch[0], number)


def added(number: int, ignored: object) -> None:
    say("added", number)


async def once(store: Store) -> None:
    """One write, then nothing until the input ends."""
    await store.add_session(session_record())
    say("written")
    await deferToThread(sys.stdin.read)


async def errors(store: Store) -> None:
    """Write until a disk error was met and the store got well again."""
    failed, number = False, 0
    while not failed or store.degraded is not None:
        try:
            number += 1  # SQLite writes nothing for a value that is there already
            await store.set_setting("name", str(number))
        except EngineError as error:
            if not failed:
                say("failed", store.degraded, error.message)
            failed = True
    say("well", await store.setting("name") == str(number))


async def main(reactor: Any, mode: str, state_dir: str) -> None:
    full = mode == "errors"
    store = Store(
        Path(state_dir),
        durability="full" if full else "normal",
        reactor=reactor,
        monotonic=(lambda: time.monotonic() * HASTE) if full else time.monotonic,
    )
    try:
        report = await store.open()
    except StoreRefusal as refusal:
        say(type(refusal).__name__, refusal)
        return
    say("open", report.clean)
    await {"write": write, "once": once, "errors": errors}[mode](store)
    await store.close()
    say("closed")


if __name__ == "__main__":
    signal.alarm(LIFETIME)
    react(
        lambda reactor, *argv: Deferred.fromCoroutine(main(reactor, *argv)), sys.argv[1:], installed_reactor
    )
