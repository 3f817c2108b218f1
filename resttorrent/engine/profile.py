"""
The libtorrent settings that RestTorrent chooses, and why; docs/libtorrent says more.

Source: https://libtorrent.org/reference-Settings.html
"""

from typing import Any

import libtorrent as lt

from .. import __version__
from .alerts import QUEUE_SIZE
from .metainfo import MAX_BYTES, MAX_PIECES, MAX_TOKENS

ALERT_MASK = (
    int(lt.alert.category_t.error_notification)
    | int(lt.alert.category_t.status_notification)
    | int(lt.alert.category_t.storage_notification)
)

STOP_TRACKER_TIMEOUT = 2
"""Seconds that a closing session gives its trackers to take their ``stopped`` announces."""


def session_settings(*, discovery: bool) -> dict[str, Any]:
    """
    The settings of a new session, which listens nowhere yet (see ``listening``).

    :param discovery: DHT, LSD, UPnP and NAT-PMP, all on or all off.
    """
    return {
        "user_agent": f"RestTorrent/{__version__} libtorrent/{lt.__version__}",
        "alert_mask": ALERT_MASK,
        # alerts beyond the queue are lost, answers included
        "alert_queue_size": QUEUE_SIZE,
        "listen_interfaces": "",
        # we try the ports ourselves: libtorrent would silently take another one
        "max_retry_port_bind": 0,
        "listen_system_port_fallback": False,
        "enable_dht": discovery,
        "enable_lsd": discovery,
        "enable_upnp": discovery,
        "enable_natpmp": discovery,
        # fastest of 1, 2, 4 and 10 on two cores, and the fewest threads per session
        "aio_threads": 2,
        "hashing_threads": 1,
        "connections_limit": 500,
        # no queue unless somebody asks for one: what is started runs
        "active_downloads": -1,
        "active_seeds": -1,
        "active_limit": -1,
        # libtorrent's minute would keep a torrent that was stopped and runs again from its peers that long
        "min_reconnect_time": 10,
        "announce_to_all_trackers": False,
        "announce_to_all_tiers": False,
        "stop_tracker_timeout": STOP_TRACKER_TIMEOUT,
        # libtorrent's ten minutes: a disk that has room again should not wait that long
        "optimistic_disk_retry": 60,
        **GUARDS,
    }


GUARDS = {
    # against trackers and web seeds that point into the local network, or pose as others
    "ssrf_mitigation": True,
    "validate_https_trackers": True,
    "allow_idna": False,
    "apply_ip_filter_to_trackers": True,
    # a web seed that sends wrong data is not asked again
    "ban_web_seeds": True,
    # metadata from peers is held to the limits of .torrent files, as far as libtorrent can
    "max_metadata_size": MAX_BYTES,
    "max_piece_count": MAX_PIECES,
    "metadata_token_limit": MAX_TOKENS,
    # one host or network can't fill the routing table, or answer all of a search, with nodes of its own
    "dht_restrict_routing_ips": True,
    "dht_restrict_search_ips": True,
    # nodes whose id does not belong to their address (BEP 42) come last, those of no real address not at all
    "dht_prefer_verified_node_ids": True,
    "dht_ignore_dark_internet": True,
    # a node that asks too often is not answered for a while
    "dht_block_ratelimit": 5,
    "dht_block_timeout": 300,
}
"""libtorrent's defences: its own defaults, most of them, named so that they stay whatever those become."""


LOOPBACK_SETTINGS = {
    # all peers of a loopback swarm have one address, by which libtorrent tells peers apart
    "allow_multiple_connections_per_ip": True,
    # uTP on loopback costs three times the CPU for a tenth of the speed
    "enable_outgoing_utp": False,
    # else a minute passes before a peer is tried again, also after a stop or when it is named once more
    "min_reconnect_time": 1,
}
"""Beside the others, for a session that serves peers on loopback alone."""
