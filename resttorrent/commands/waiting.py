"""Long polls: holding an answer back until there is something to tell."""

from twisted.internet.defer import Deferred

from ..engine.session import Session
from .context import Context


async def changed(ctx: Context, session: Session, since: int, wait: float, interval: float) -> None:
    """
    Return when the session's table goes beyond revision ``since``, or after ``wait`` seconds.

    A state that changes is seen at once, counters at most every ``interval`` seconds; nothing is asked of
    libtorrent but at that interval. Cancelling it leaves nothing behind.
    """
    clock = ctx.pace.clock
    deadline = clock.seconds() + wait
    while session.table.rev <= since and not session.closing:
        left = deadline - clock.seconds()
        if left <= 0:
            return
        bell: Deferred[bool] = Deferred()
        timer = clock.callLater(min(interval, left), _ring, bell, False)
        unwatch = session.table.watch(lambda bell=bell: _ring(bell, True))  # type: ignore[misc]
        try:
            urgent = await bell
        finally:
            unwatch()
            if timer.active():
                timer.cancel()
        if not urgent and not session.closing:
            await session.fresh()


def _ring(bell: "Deferred[bool]", urgent: bool) -> None:
    if not bell.called:
        bell.callback(urgent)
