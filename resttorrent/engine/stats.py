"""
Figures of a session, or of all together: rates, totals, peers, and how many torrents are in which state.

Totals and peers are libtorrent's own counters of the session, so that removing a torrent takes nothing off
them; rates are their differences over a second or more. The counters come with one question a session and
interval, which all subscribers share. States are the status table's, which alerts keep right. Nobody
subscribes: nothing is asked.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import SessionNotFound
from .feeds import Part
from .meter import Counted, Meter
from .pulse import HAIR

Wake = Callable[[], None]

SHARED_FOR = 0.05
"""Seconds that figures are good for others who ask."""

_encode = msgspec.json.Encoder().encode


class Statistics:
    """
    The figures of one daemon.

    :param now: epoch seconds.
    :param sessions: those that there are.
    """

    def __init__(
        self, clock: IReactorTime, now: Callable[[], float], sessions: Callable[[], Iterable[Counted]]
    ) -> None:
        self.clock = clock
        self._now = now
        self._sessions = sessions
        self._meters: dict[str, Meter] = {}
        self._tickers: dict[tuple[str | None, float], Ticker] = {}
        self._last_id = 0

    async def fresh(self, session: Counted | None) -> None:
        """Bring the figures up to date; those who ask at about the same time share one question."""
        if not self._tickers:
            # nobody went on from these
            self._meters = {i: m for i, m in self._meters.items() if m.age() <= SHARED_FOR or m.is_asking}
        for measured in [m.measure() for m in self._meters_of(session) if m.age() > SHARED_FOR]:
            await measured

    def part(self, session: Counted | None) -> Part:
        """The figures as they were last measured; what is not known is ``null``."""
        meters = self._meters_of(session)
        known = [meter for meter in meters if meter.is_known]
        states: dict[str, int] = {}
        for meter in meters:
            for state, count in meter.states().items():
                states[state] = states.get(state, 0) + count
        time = max((meter.time for meter in known), default=self._now())
        self._last_id = max(self._last_id + 1, int(time * 1000))
        unknown = bool(meters) and not known
        rates = [meter.rates() for meter in known]
        members = _encode(
            {
                "session_id": None if session is None else session.options.id,
                "time": round(time, 3),
                "download_payload_rate": None if unknown else sum(down for down, _ in rates),
                "upload_payload_rate": None if unknown else sum(up for _, up in rates),
                "total_download": None if unknown else sum(meter.last.download for meter in known),
                "total_upload": None if unknown else sum(meter.last.upload for meter in known),
                "torrents": states,
                "peers": None if unknown else sum(meter.last.peers for meter in known),
            }
        )
        return Part(members[1:-1], self._last_id)

    def is_known(self, session: Counted | None) -> bool:
        """Whether all that a part tells was measured."""
        return all(meter.is_known for meter in self._meters_of(session))

    def measure(self, session: Counted | None) -> "list[Deferred[None]]":
        """Measure all that a part tells; each fires when it is done, or has failed."""
        return [meter.measure() for meter in self._meters_of(session)]

    def _meters_of(self, session: Counted | None) -> list[Meter]:
        there = [s for s in self._sessions() if not s.closing] if session is None else [session]
        return [self._meter(one) for one in there]

    def _meter(self, session: Counted) -> Meter:
        meter = self._meters.get(session.options.id)
        if meter is None:
            meter = self._meters[session.options.id] = Meter(self.clock, self._now, session)
        return meter

    # -- who follows -----------------------------------------------------

    def ticker(self, session: Counted | None, interval: float) -> "Ticker":
        """What tells of new figures at this interval (seconds)."""
        key = (None if session is None else session.options.id, interval)
        ticker = self._tickers.get(key)
        if ticker is None:
            ticker = self._tickers[key] = Ticker(self, session, interval, lambda: self._rest(key))
            if session is not None and session.closing:
                ticker.end(SessionNotFound.code)
        return ticker

    def _rest(self, key: tuple[str | None, float]) -> None:
        self._tickers.pop(key, None)
        if not self._tickers:
            self._meters.clear()

    def left(self, session: Counted) -> None:
        """A session goes, and those who follow it are told."""
        for (session_id, _), ticker in list(self._tickers.items()):
            if session_id == session.options.id:
                ticker.end(SessionNotFound.code)
        self._meters.pop(session.options.id, None)

    def close(self, code: str) -> None:
        """The daemon ends: whoever follows is told so, with ``code``."""
        for ticker in list(self._tickers.values()):
            ticker.end(code)


class Ticker:
    """
    Measures at one interval, on multiples of it, for all who follow the same.

    :param rest: called when nobody follows any more.
    :ivar part: the figures last measured; :ivar ended: why there will be no more, as an error's code.
    """

    log = Logger()

    def __init__(
        self, statistics: Statistics, session: Counted | None, interval: float, rest: Callable[[], None]
    ) -> None:
        self._statistics = statistics
        self._clock = statistics.clock
        self._session = session
        self._interval = interval
        self._rest = rest
        self._wakes: dict[object, Wake] = {}
        self._timer: IDelayedCall | None = None
        self._measuring: Deferred[None] | None = None
        self.part: Part | None = None
        self.ended: str | None = None

    def watch(self, wake: Wake) -> Callable[[], None]:
        """
        Have ``wake`` called when there is a new part, or an end.

        :return: a function that ends it; it may be called again.
        """
        token = object()
        self._wakes[token] = wake
        if self.ended is not None:
            self._timer = self._timer or self._clock.callLater(0, self._wake_all)
        elif self._timer is None:
            # who was shown nothing yet need not wait for the interval
            known = self._statistics.is_known(self._session)
            self._timer = self._clock.callLater(self._left() if known else 0, self._tick)
        return lambda: self._leave(token)

    def end(self, code: str) -> None:
        """Tell all that this was all."""
        if self.ended is None:
            self.ended = code
            self._stop()
            if self._wakes:
                self._timer = self._clock.callLater(0, self._wake_all)

    def _left(self) -> float:
        left = self._interval - self._clock.seconds() % self._interval
        return left + self._interval if left < HAIR else left

    def _tick(self) -> None:
        self._timer = self._clock.callLater(self._left(), self._tick)
        if self._measuring is None:
            self._measuring = measuring = Deferred.fromCoroutine(self._measure())
            measuring.addCallback(self._measured).addErrback(self._not_measured)

    async def _measure(self) -> None:
        for measured in self._statistics.measure(self._session):
            await measured

    def _measured(self, _: None) -> None:
        self._measuring = None
        self.part = self._statistics.part(self._session)
        self._wake_all()

    def _not_measured(self, failure: Failure) -> None:
        self._measuring = None
        if not failure.check(CancelledError):
            self.log.failure("figures could not be told", failure)

    def _wake_all(self) -> None:
        if self.ended is not None:
            self._timer = None
        for token, wake in list(self._wakes.items()):
            # one that was woken before may have ended another
            if token in self._wakes:
                try:
                    wake()
                except Exception:
                    self.log.failure("a watcher failed")

    def _leave(self, token: object) -> None:
        if self._wakes.pop(token, None) is not None and not self._wakes:
            self._stop()
            self._rest()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._measuring is not None:
            self._measuring.cancel()


class Measured(Protocol):
    """An engine, as far as it is needed here."""

    @property
    def stats(self) -> Statistics: ...


class StatsFeed:
    """
    One subscriber's sight of the figures (a ``feeds.Feed``).

    The opening has what ``Statistics.fresh`` brought, if that was awaited before; else the first push follows
    at once.

    :param session: ``None`` for the sum of all.
    :param interval: seconds between two pushes.
    """

    event = "v1/stats"

    def __init__(self, engine: Measured, session: Counted | None, *, interval: float) -> None:
        self._statistics = engine.stats
        self._session = session
        self._interval = interval
        self._cursor = 0
        self._ticker: Ticker | None = None
        self._unwatch: Callable[[], None] | None = None

    def opening(self) -> Part:
        part = self._statistics.part(self._session)
        self._cursor = part.id
        return Part(b'"status":"success",' + part.members, part.id)

    def start(self, wake: Wake) -> None:
        self.stop()
        self._ticker = self._statistics.ticker(self._session, self._interval)
        self._unwatch = self._ticker.watch(wake)

    def take(self) -> Part | None:
        ticker = self._ticker
        if ticker is None:
            return None
        if ticker.ended is not None:
            self.stop()
            code = ticker.ended.encode("ascii")
            return Part(b'"closed":true,"code":"%b"' % code, self._cursor, closes=True)
        part = ticker.part
        if part is None or part.id <= self._cursor:
            return None
        self._cursor = part.id
        return part

    def stop(self) -> None:
        self._ticker = None
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
