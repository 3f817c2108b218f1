"""A client that keeps a table of what it is told."""

from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode


class Follower:
    """
    Keeps one session's rows.

    :param answer: the packet that answered its ``subscribe``.
    """

    def __init__(self, answer: bytes) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.hear(answer)

    def hear(self, packet: bytes) -> None:
        """Apply an answer or a push."""
        told = _decode(packet[2:])[1]
        if "torrents" in told:
            self.rows = {row["infohash"]: row for row in told["torrents"]}
            return
        for key in told["removed"]:
            self.rows.pop(key, None)
        for row in told["changed"]:
            self.rows.setdefault(row["infohash"], {}).update(row)
