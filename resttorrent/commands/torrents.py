"""Commands on the torrents of a session."""

import msgspec

from ..engine.fields import NAMES
from ..engine.session import Session
from ..errors import BadParameter
from .answers import Answer, Tagged
from .context import Context
from .listing import (
    Count,
    Fields,
    Milliseconds,
    Revision,
    Seconds,
    States,
    TorrentDelta,
    TorrentList,
    entity_tag,
    selection,
    sort_keys,
)
from .parameters import Flag, Text, Words
from .registry import command
from .waiting import changed


class TorrentAnswer(Answer, kw_only=True):
    torrent: msgspec.Raw


@command("GET", "/v1/sessions/{session_id}/torrents", scope="read")
async def get_torrent_list(
    ctx: Context,
    session_id: Text,
    fields: Fields | None = None,
    state: States | None = None,
    sort: Words | None = None,
    limit: Count | None = None,
    offset: Count = 0,
    since: Revision | None = None,
    wait: Seconds = 0,
    interval_ms: Milliseconds = 1000,
) -> Tagged[TorrentList] | TorrentDelta:
    """
    List the torrents, or tell what changed since a revision.

    ``since`` a revision that is known here is answered with a delta, any other with the list; ``wait`` then
    holds the answer back until something changed.
    """
    wanted = selection(fields, state)
    keys = sort_keys(sort)
    if since is not None and (keys or offset or limit is not None):
        raise BadParameter("since: expected without sort, limit and offset", field="since")
    if wait and since is None:
        raise BadParameter("wait: expected only with since", field="wait")
    await ctx.engine.ready()
    session = ctx.engine.session(session_id)
    table = session.table
    if wait and since is not None and table.knows(since):
        # no look at libtorrent first: counters that moved meanwhile are told at their interval
        await changed(ctx, session, since, wait, interval_ms / 1000)
        ctx.engine.session(session_id)
    else:
        await session.fresh()
    # looked at only now: a flood of removals meanwhile may have gone beyond the tombstones
    if since is not None and table.knows(since):
        rows, removed = session.views.of(wanted).delta(since)
        return TorrentDelta(
            rev=max(table.rev, since), changed=msgspec.Raw(rows), removed=msgspec.Raw(removed)
        )
    view = session.views.of(wanted)
    rows, total = view.page(keys, offset, limit) if keys or offset or limit is not None else view.rows()
    listed = TorrentList(rev=table.rev, total=total, torrents=msgspec.Raw(rows))
    return Tagged(listed, entity_tag(table.rev, wanted, keys, offset, limit))


@command("GET", "/v1/sessions/{session_id}/torrents/{infohash}", scope="read")
async def get_torrent(
    ctx: Context, session_id: Text, infohash: Text, fields: Fields | None = None
) -> TorrentAnswer:
    """Show a torrent."""
    wanted = selection(fields, None)
    await ctx.engine.ready()
    session = ctx.engine.session(session_id)
    session.torrents.named(infohash)
    await session.fresh()
    return show(session, session.torrents.named(infohash).infohash, wanted.fields)


@command("PUT", "/v1/sessions/{session_id}/torrents/{infohash}", scope="control")
async def update_torrent(ctx: Context, session_id: Text, infohash: Text, pause: Flag) -> TorrentAnswer:
    """Stop a torrent (``pause=1``), or let it run (``pause=0``)."""
    await ctx.engine.ready()
    session = ctx.engine.session(session_id)
    torrent = session.torrents.named(infohash)
    await session.set_stopped(torrent, pause)
    return show(session, torrent.infohash)


@command("DELETE", "/v1/sessions/{session_id}/torrents/{infohash}", scope="control")
async def remove_torrent(
    ctx: Context, session_id: Text, infohash: Text, delete_files: Flag = False
) -> Answer:
    """Remove a torrent; with ``delete_files=1`` its payload too, but for what another torrent uses."""
    await ctx.engine.ready()
    session = ctx.engine.session(session_id)
    torrent = session.torrents.named(infohash)
    await ctx.engine.remove_torrent(session, torrent, delete_files=delete_files)
    return Answer()


def show(session: Session, infohash: str, fields: tuple[str, ...] = NAMES) -> TorrentAnswer:
    """A torrent's row as it stands in the table."""
    return TorrentAnswer(torrent=row_of(session, infohash, fields))


def row_of(session: Session, infohash: str, fields: tuple[str, ...] = NAMES) -> msgspec.Raw:
    """
    The JSON object of one row.

    :raises TorrentNotFound: if it went meanwhile.
    """
    return msgspec.Raw(session.views.encoder(fields)(session.row(infohash)))


COMMANDS = (get_torrent_list, get_torrent, update_torrent, remove_torrent)
