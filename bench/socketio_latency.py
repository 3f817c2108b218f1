"""How soon a subscriber hears of a change that libtorrent told."""

from .figures import quantile, tell
from .wire import get
from .workshop import Workshop, wait_until_quiet

_PAUSE = 0.05
"""Seconds between two changes, so that each is looked at by itself."""


def run(workshop: Workshop) -> None:
    """
    One client stops and starts a torrent, another one is told.

    What is timed, from the command's first byte to the push at the other client, has libtorrent's own share
    in it and the way to the daemon: it is more than the time from libtorrent's alert to the push.
    """
    loaded = workshop.loaded()
    tell("push latency …")
    wait_until_quiet(loaded.wire, loaded.torrents)
    infohash = loaded.wire.json(get(f"{loaded.torrents}?fields=infohash&limit=1"))["torrents"][0]["infohash"]
    crowd = workshop.child("bench.socketio_child")
    crowd.do("connect", port=loaded.daemon.port, count=2)
    crowd.do("subscribe", session_id=loaded.session_id, fields="infohash,state", interval_ms=1000)
    found = crowd.do(
        "toggle",
        session_id=loaded.session_id,
        infohash=infohash,
        rounds=workshop.options.rounds,
        pause=_PAUSE,
    )
    workshop.end(crowd.process)
    milliseconds = {name: [value * 1000 for value in values] for name, values in found.items()}
    answered = quantile(milliseconds["to_answer"], 0.5)
    for share, bound in ((0.5, 5), (0.99, 25)):
        workshop.figures.add(
            "latency", f"command → libtorrent → push, p{share * 100:g}",
            quantile(milliseconds["to_push"], share), "ms", at_most=bound,
            note=f"{loaded.count:,} torrents; the command's own answer, p50: {answered:.2g} ms",
        )  # fmt: skip
