"""How a client keeps a table of torrents: the answer to subscribe, and then what is pushed."""

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
Rows = dict[str, Row]


def applied(rows: Rows, opening: dict[str, Any], pushes: Sequence[dict[str, Any]]) -> Rows:
    """
    The rows that a subscriber has who had ``rows``, got ``opening`` and then ``pushes``.

    python-socketio's sync client has a thread for each event, so that they may come in any order: ``rev``
    tells theirs.
    """
    own = [push for push in pushes if push["subscription"] == opening["subscription"]]
    table = {infohash: dict(row) for infohash, row in rows.items()}
    for push in (opening, *sorted(own, key=lambda push: int(push["rev"]))):
        table = apply(table, push)
    return table


def apply(table: Rows, push: dict[str, Any]) -> Rows:
    """``table`` after a push, or an answer; it may be changed in place."""
    if "torrents" in push:
        return {row["infohash"]: dict(row) for row in push["torrents"]}
    for row in push["changed"]:
        table.setdefault(row["infohash"], {}).update(row)
    for infohash in push["removed"]:
        table.pop(infohash, None)
    return table
