"""
Looking after the save roots: whether each is mounted, and the one that it was.

A root is watched from its first torrent on. Each has a thread of its own, so that a dead network disk holds
up neither the reactor nor the other roots; one that does not answer counts as missing.

Source: ``paths.presence``, which says how a root is known again.
"""

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.defer import TimeoutError as OutOfTime
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import CommandError
from ..paths.presence import Look, look
from .pace import on_end
from .shared import Shared
from .worker import Worker

LOOK_INTERVAL = 2.0
"""Seconds between two looks at each root."""
FRESH = 0.5
"""Seconds for which a look is good enough for an addition or a deletion."""
LOOK_TIMEOUT = 5.0
"""Seconds after which a root that gives no answer counts as missing."""
STOP_TIMEOUT = 2.0
_SETTING = "root."


class _Root:
    """
    One root.

    :ivar id: its marker's, ``""`` if it can't have one, ``None`` before its first use.
    :ivar stored: the id that the store has; :ivar used: some torrent lies below.
    """

    def __init__(self, path: str, id: str | None, worker: Worker) -> None:
        self.path = path
        self.id = self.stored = id
        self.worker = worker
        self.used = id is not None
        self.seen: tuple[int, int] | None = None
        self.looked_at: float | None = None
        self.answer: Deferred[None] | None = None


class RootsWatch:
    """
    Watches the roots, and writes into ``shared.roots`` which are missing.

    :param changed: called when a root went missing or came back, and at each look while one is missing; with
        the roots that are missing although something lies in their places.
    """

    log = Logger()

    def __init__(self, shared: Shared, changed: Callable[[frozenset[str]], None]) -> None:
        self._shared = shared
        self._changed = changed
        self._roots: dict[str, _Root] = {}
        self._strays: frozenset[str] = frozenset()
        self._timer: IDelayedCall | None = None
        self._stopped = False

    @property
    def absent(self) -> dict[str, str]:
        """Why each missing root is missing."""
        return dict(self._shared.roots.absent)

    # -- life ------------------------------------------------------------

    async def start(self) -> None:
        """Learn from the store which roots were used, and begin to look at them."""
        for path in self._shared.roots.paths:
            id = await self._shared.store.setting(_SETTING + path)
            self._roots[path] = _Root(path, id, Worker(self._shared.reactor, f"root {path}"))
        self._tick()

    async def use(self, save_paths: Iterable[str]) -> None:
        """These hold torrents already: wait until their roots were looked at, or did not answer."""
        roots = {self._shared.roots.root_of(path) for path in save_paths}
        used = [root for root in self._roots.values() if root.path in roots]
        for root in used:
            root.used = True
        if used:
            self._begin()
        await DeferredList([self._look_now(root) for root in used], consumeErrors=True)

    def _begin(self) -> None:
        if self._timer is None and not self._stopped:
            self._timer = self._shared.reactor.callLater(LOOK_INTERVAL, self._tick)

    async def stop(self) -> None:
        """Look no more; a thread that hangs in a look is left behind."""
        self._stopped = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        ended = [root.worker.stop() for root in self._roots.values()]
        try:
            await DeferredList(ended).addTimeout(STOP_TIMEOUT, self._shared.reactor)
        except OutOfTime:
            self.log.warn("a save root does not answer; its thread is left behind")

    # -- looking ---------------------------------------------------------

    async def require(self, save_path: str) -> None:
        """
        See that the root of this path is there now; at its first use, make it and mark it.

        :raises RootMissing: if it isn't, or does not answer.
        """
        roots = self._shared.roots
        root = self._roots.get(roots.root_of(save_path) or "")
        if root is None:
            return
        now = self._shared.reactor.seconds()
        if not root.used or root.looked_at is None or now - root.looked_at > FRESH:
            await self._look_now(root, make=True)
            root.used = True
            self._begin()
        roots.require(save_path)

    def _look_now(self, root: _Root, *, make: bool = False) -> "Deferred[None]":
        """Fires when the root has been looked at, or did not answer in time."""
        answer = root.answer
        if answer is None:
            answer = root.answer = Deferred()
            root.worker.call(look, root.path, root.id, root.seen, make).addCallbacks(
                self._seen, self._failed, callbackArgs=(root,), errbackArgs=(root,)
            ).addErrback(lambda failure: self.log.failure("a save root can't be watched", failure))
        waiter = on_end(answer)
        waiter.addTimeout(LOOK_TIMEOUT, self._shared.reactor)
        return waiter.addErrback(self._no_answer, root)

    def _no_answer(self, failure: Failure, root: _Root) -> None:
        failure.trap(OutOfTime)
        self._judge(root, f"save root {root.path} does not answer")

    def _seen(self, found: Look, root: _Root) -> None:
        root.looked_at = self._shared.reactor.seconds()
        root.id = found.id
        if found.reason is None:
            root.seen = found.identity
        self._strays = self._strays - {root.path} | ({root.path} if found.holds_something else set())
        try:
            self._judge(root, found.reason)
        finally:
            self._answer(root)
        if root.id is not None and root.id != root.stored:
            Deferred.fromCoroutine(self._store(root)).addErrback(
                lambda failure: self.log.failure("the id of a save root was not stored", failure)
            )

    def _failed(self, failure: Failure, root: _Root) -> None:
        if failure.check(OSError):
            # what was known of it before holds on
            self.log.warn(
                "{root} can't be looked at: {error}", root=root.path, error=failure.getErrorMessage()
            )
        elif not self._stopped:
            self.log.failure("save root {root} could not be looked at", failure, root=root.path)
        self._answer(root)

    @staticmethod
    def _answer(root: _Root) -> None:
        answer, root.answer = root.answer, None
        if answer is not None:
            answer.callback(None)

    async def _store(self, root: _Root) -> None:
        id = root.id
        try:
            await self._shared.store.set_setting(_SETTING + root.path, id or "")
        except CommandError as error:
            # the next look tries again
            self.log.warn("the id of {root} was not stored: {error}", root=root.path, error=error.message)
        else:
            root.stored = id

    def _judge(self, root: _Root, reason: str | None) -> None:
        roots = self._shared.roots
        before = roots.absent.get(root.path)
        if before == reason or self._stopped:
            return
        rest = {path: why for path, why in roots.absent.items() if path != root.path}
        roots.absent = rest if reason is None else {**rest, root.path: reason}
        if reason is None:
            self.log.info("save root {root} is back", root=root.path)
        else:
            self.log.error("{reason}: its torrents wait", reason=reason)
        self._changed(frozenset())

    def _tick(self) -> None:
        self._timer = None
        used = [root for root in self._roots.values() if root.used]
        if self._stopped or not used:
            return
        self._begin()
        for root in used:
            if root.answer is None:
                self._look_now(root)
        if self._shared.roots.absent:
            self._changed(self._strays & self._shared.roots.absent.keys())
