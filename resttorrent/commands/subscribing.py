"""Commands that begin and end subscriptions: a topic's present state, then whatever changes."""

from collections.abc import Mapping
from typing import Annotated

from ..engine.all_torrents import AllTorrentsFeed
from ..engine.eventlog import LogFeed
from ..engine.feeds import Feed
from ..engine.session import Session
from ..engine.session_feed import SessionsFeed
from ..engine.stats import StatsFeed
from ..engine.torrent_feed import TorrentFeed
from ..engine.views import Selection
from ..errors import BadParameter, NotFound, ParameterConflict
from .answers import Answer, Subscribed
from .context import Context
from .listing import Fields, Filter, Milliseconds, Revision, States, selection
from .parameters import Text, choice
from .registry import command
from .sessions import describe

_USES: Mapping[str, frozenset[str]] = {
    "torrents": frozenset({"session_id", "fields", "state", "filter", "interval_ms"}),
    "sessions": frozenset({"interval_ms"}),
    "stats": frozenset({"session_id", "interval_ms"}),
    "log": frozenset({"session_id"}),
}
"""What each topic can be asked for, beside ``since``: a client that comes back sends it for any topic."""
INTERVAL_MS = 1000

Topic = Annotated[str, choice(*_USES)]


@command("GET", "/v1/events", scope="read")
async def subscribe(
    ctx: Context,
    topic: Topic,
    session_id: Text | None = None,
    fields: Fields | None = None,
    state: States | None = None,
    filter: Filter | None = None,
    interval_ms: Milliseconds | None = None,
    since: Revision | None = None,
) -> Subscribed:
    """
    Show a topic, then whatever changes of it.

    Without ``session_id`` it is about all sessions, those that come later too. State changes are told at
    once, counters every ``interval_ms`` milliseconds, 1000 by default. ``since`` a revision (of the log: an
    entry's id) that is known here, only what came after it is shown; ``stats`` always begin anew. The rows of
    ``torrents`` have their ``infohash``, asked for or not.
    """
    _check(topic, session_id=session_id, fields=fields, state=state, filter=filter, interval_ms=interval_ms)
    wanted = selection(fields, _states(state, filter))
    interval = (interval_ms or INTERVAL_MS) / 1000
    await ctx.engine.ready()
    session = None if session_id is None else ctx.engine.session(session_id)
    if topic == "torrents":
        return Subscribed(await _torrents(ctx, session, wanted, since, interval))
    if topic == "sessions":
        return Subscribed(SessionsFeed(ctx.engine.session_boards, describe, since=since, interval=interval))
    if topic == "stats":
        await ctx.engine.stats.fresh(session)
        _still_there(ctx, session)
        return Subscribed(StatsFeed(ctx.engine, session, interval=interval))
    return Subscribed(
        LogFeed(ctx.engine.log, since=since, session_id=None if session is None else session.options.id)
    )


async def _torrents(
    ctx: Context, session: Session | None, wanted: Selection, since: int | None, interval: float
) -> Feed:
    if session is None:
        await ctx.engine.roster.fresh()
        return AllTorrentsFeed(ctx.engine.boards, wanted, since=since, interval=interval)
    await session.fresh()
    _still_there(ctx, session)
    return TorrentFeed(session, wanted, since=since, interval=interval)


def _still_there(ctx: Context, session: Session | None) -> None:
    """:raises SessionNotFound: if the session went while it was looked at."""
    if session is not None:
        ctx.engine.session(session.options.id)


def _check(topic: str, **given: object) -> None:
    for name, value in given.items():
        if value is not None and name not in _USES[topic]:
            raise BadParameter(f"{name}: expected nothing, the topic {topic} has no use for it", field=name)


def _states(state: tuple[str, ...] | None, filter: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Both say the same: the one beside the filter is spelt as in a list."""
    if state is not None and filter is not None and set(state) != set(filter):
        raise ParameterConflict("state was given beside another one in filter", field="state")
    return state or filter


@command(None, None, scope="read")
async def unsubscribe(ctx: Context, subscription: Text) -> Answer:
    """End a subscription of the connection that it is sent on."""
    if ctx.subscriptions is None:
        raise NotFound("there are no subscriptions on this connection", field="subscription")
    ctx.subscriptions.end(subscription)
    return Answer()


COMMANDS = (subscribe, unsubscribe)
