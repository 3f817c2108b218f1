"""Long polls: holding an answer back until there is something to tell."""

from twisted.internet.defer import Deferred

from ..engine.session import Session
from .context import Context


async def changed(ctx: Context, session: Session, since: int, wait: float, interval: float) -> None:
    """
    Return when the session's table goes beyond revision ``since``, or after ``wait`` seconds.

    A state that changes is seen at once, counters at most every ``interval`` seconds; nothing is asked of
    libtorrent but at that interval, together with all who wait by the same one. Cancelling it leaves nothing
    behind.

    :raises CommandError: if libtorrent gave no status.
    """
    table, pulse = session.table, session.pulse
    if table.rev > since or pulse.ended is not None:
        return
    bell: Deferred[bool] = Deferred()

    def look() -> None:
        if bell.called:
            return
        if table.rev > since or pulse.ended is not None:
            bell.callback(True)
        elif pulse.error is not None:
            bell.errback(pulse.error)

    unwatch = pulse.watch(interval, look)
    timer = ctx.pace.clock.callLater(wait, bell.callback, False)
    try:
        seen = await bell
    finally:
        unwatch()
        if timer.active():
            timer.cancel()
    if not seen:
        # the figures of this moment, before it is said that nothing changed
        await session.fresh()
