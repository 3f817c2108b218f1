"""What happened: the event log."""

from typing import Annotated

import msgspec
from twisted.internet.defer import Deferred

from ..engine.eventlog import HISTORY, EventLog
from ..engine.log_entries import LEVELS, Excerpt, Level
from ..errors import BadParameter
from .answers import Answer
from .context import Context
from .listing import Revision, Seconds
from .parameters import Text, choice, integer
from .registry import command

Entries = Annotated[int, integer(1, HISTORY)]
LeastLevel = Annotated[Level, choice(*LEVELS)]


class LogAnswer(Answer, kw_only=True):
    """
    Entries, the oldest first.

    ``rev`` is the entry to go on from with ``since``; ``gap`` says that ``since`` is of an earlier process or
    older than what is kept, so that entries may be missing before these.
    """

    rev: int
    gap: bool
    entries: msgspec.Raw


@command("GET", "/v1/log", scope="read")
async def get_log(
    ctx: Context,
    since: Revision | None = None,
    limit: Entries = 1000,
    session_id: Text | None = None,
    level: LeastLevel = "info",
    wait: Seconds = 0,
) -> LogAnswer:
    """
    Show what happened: the last entries, or those that came after one.

    With ``since``, the first ``limit`` entries after it, and ``rev`` to go on from; ``wait`` then holds the
    answer back until there is one. ``level`` leaves out what matters less.
    """
    if wait and since is None:
        raise BadParameter("wait: expected only with since", field="wait")
    await ctx.engine.ready()
    log = ctx.engine.log
    # also of a session that is no more
    of = None if session_id is None else session_id.lower()
    if since is None:
        shown = log.newest(limit, session_id=of, level=level)
    else:
        shown = log.after(since, limit=limit, session_id=of, level=level)
        deadline = log.clock.seconds() + wait
        while not shown.entries and not shown.gap and log.clock.seconds() < deadline:
            await _more(log, deadline)
            shown = log.after(shown.rev, limit=limit, session_id=of, level=level)
    return _answer(shown)


async def _more(log: EventLog, deadline: float) -> None:
    """Return when something was logged, or at the deadline; cancelling it leaves nothing behind."""
    bell: Deferred[None] = Deferred()

    def ring() -> None:
        if not bell.called:
            bell.callback(None)

    unwatch = log.watch(ring)
    timer = log.clock.callLater(max(deadline - log.clock.seconds(), 0), ring)
    try:
        await bell
    finally:
        unwatch()
        if timer.active():
            timer.cancel()


def _answer(shown: Excerpt) -> LogAnswer:
    return LogAnswer(rev=shown.rev, gap=shown.gap, entries=msgspec.Raw(shown.json))


COMMANDS = (get_log,)
