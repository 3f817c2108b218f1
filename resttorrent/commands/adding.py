"""Commands that add torrents: one, or a batch."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from ..engine.metainfo import MAX_BYTES, Metainfo, load_file, load_magnet
from ..engine.pace import gather
from ..engine.session import Session
from ..engine.shared import Addition
from ..errors import BadParameter, CommandError, NotATorrent
from .answers import Answer, Failure
from .context import Context
from .parameters import File, Flag, Kind, Numbered, Text, choice, parse_text
from .registry import command
from .torrents import row_of

MAX_ITEMS = 1000
MAX_LINK = 65_536

StorageMode = Annotated[str, choice("sparse", "allocate")]
Link = Annotated[
    str,
    Kind(
        f"a link of at most {MAX_LINK} characters",
        lambda raw: parse_text(raw, longest=MAX_LINK),
        {"type": "string"},
    ),
]


def _items(raw: object) -> list[dict[str, object]]:
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise ValueError
    return raw


Items = Annotated[
    list[dict[str, object]],
    Kind(
        f"a list of at most {MAX_ITEMS} objects, each with file, magnet or url",
        _items,
        {"type": "array", "items": {"type": "object"}, "maxItems": MAX_ITEMS},
    ),
]
Repeated = Annotated[
    Sequence[Numbered],
    Kind("one value for each torrent", lambda raw: raw, {"type": "array"}, repeats=True),
]


class TorrentAdded(Answer, kw_only=True):
    """The torrent as the table shows it now."""

    infohash: str
    torrent: msgspec.Raw


class ItemAdded(TorrentAdded, kw_only=True):
    """One torrent of a batch."""

    http_status: int = 201


class ItemFailed(Failure, kw_only=True):
    http_status: int


class BatchAnswer(Answer, kw_only=True):
    """One result for each torrent asked for, in the same order."""

    results: list[ItemAdded | ItemFailed]


@command(
    "POST",
    "/v1/sessions/{session_id}/torrents",
    scope="control",
    status=201,
    location="/v1/sessions/{session_id}/torrents/{answer.infohash}",
    aliases=("upload_torrent",),
)
async def add_torrent(
    ctx: Context,
    session_id: Text,
    save_path: Text,
    file: File | None = None,
    magnet: Link | None = None,
    url: Link | None = None,
    autostart: Flag = True,
    storage_mode: StorageMode = "sparse",
    memory_only: Flag | None = None,
) -> TorrentAdded:
    """Add a torrent by exactly one of ``file`` (.torrent), ``magnet`` and ``url`` (of a .torrent)."""
    _check_source(file, magnet, url)
    await ctx.engine.ready()
    session = ctx.engine.session(session_id)
    folder = ctx.roots.confine(save_path)
    addition = Addition(
        metainfo=await _metainfo(ctx, file, magnet, url),
        save_path=folder,
        storage_mode=storage_mode,
        stopped=not autostart,
        memory_only=session.options.memory_only if memory_only is None else memory_only,
    )
    torrent = await ctx.engine.add_torrent(session, addition)
    return TorrentAdded(infohash=torrent.infohash, torrent=row_of(session, torrent.infohash))


def _check_source(file: bytes | None, magnet: str | None, url: str | None) -> None:
    sources = {"file": file, "magnet": magnet, "url": url}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) != 1:
        raise BadParameter(
            f"expected exactly one of file, magnet and url, not {' and '.join(given) or 'none'}",
            field=given[0] if given else "file",
        )


async def _metainfo(ctx: Context, file: bytes | None, magnet: str | None, url: str | None) -> Metainfo:
    if file is not None:
        return load_file(file)
    if magnet is not None:
        return load_magnet(magnet)
    try:
        return load_file(await ctx.fetcher.fetch(url or "", limit=MAX_BYTES))
    except NotATorrent as error:
        raise NotATorrent(error.message, field="url") from None


@command("POST", "/v1/sessions/{session_id}/torrents/batch", scope="control")
async def add_torrents(
    ctx: Context,
    session_id: Text,
    torrents: Items | None = None,
    file: Repeated = (),
    magnet: Repeated = (),
    url: Repeated = (),
    save_path: Text | None = None,
    autostart: Flag = True,
    storage_mode: StorageMode = "sparse",
    memory_only: Flag | None = None,
) -> BatchAnswer:
    """
    Add up to 1,000 torrents at once.

    ``torrents`` holds an object for each, with the parameters of add_torrent; or ``file``, ``magnet`` and
    ``url`` are repeated. The other parameters are defaults for all. What goes wrong with one stands in its
    result.
    """
    items = list(torrents or ())
    sources = ((name, values) for name, values in (("file", file), ("magnet", magnet), ("url", url)))
    repeated = sorted((number, name, value) for name, values in sources for number, value in values)
    items.extend({name: value} for _, name, value in repeated)
    if not 0 < len(items) <= MAX_ITEMS:
        raise BadParameter(
            f"torrents: expected 1 to {MAX_ITEMS} torrents, not {len(items)}", field="torrents"
        )
    await ctx.engine.ready()
    session = ctx.engine.session(session_id)
    defaults: dict[str, object] = {"autostart": autostart, "storage_mode": storage_mode}
    if save_path is not None:
        defaults["save_path"] = save_path
    if memory_only is not None:
        defaults["memory_only"] = memory_only
    results = await gather(
        ctx.pace, "adding torrents", (_add_item(ctx, session, defaults | item) for item in items)
    )
    return BatchAnswer(results=results)


async def _add_item(ctx: Context, session: Session, item: Mapping[str, object]) -> ItemAdded | ItemFailed:
    try:
        added = await add_torrent.run(ctx, [("session_id", session.options.id), *item.items()])
    except CommandError as error:
        return ItemFailed(
            status="fail",
            message=error.message,
            code=error.code,
            field=error.field,
            http_status=error.http_status,
        )
    return ItemAdded(infohash=added.infohash, torrent=added.torrent)


COMMANDS = (add_torrent, add_torrents)
