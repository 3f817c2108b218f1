"""The settings that a libtorrent session has in the end."""

from typing import Any

import libtorrent as lt
from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from resttorrent.engine.link import Link
from resttorrent.engine.profile import GUARDS, LOOPBACK_SETTINGS, session_settings
from resttorrent.engine.web_seeds import WebSeeds
from resttorrent.errors import Stopping


class GuardTests(SynchronousTestCase):
    def test_none_is_taken_back(self) -> None:
        self.assertEqual(GUARDS.keys() & LOOPBACK_SETTINGS.keys(), set())
        for discovery in (True, False):
            self.assertEqual(GUARDS.items() - session_settings(discovery=discovery).items(), set())

    def test_of_the_dht_and_of_addresses(self) -> None:
        """libtorrent's own defaults, but for the limits: nothing here is weaker."""
        theirs: Any = lt.default_settings()
        self.assertEqual(
            {name for name, value in GUARDS.items() if theirs[name] != value},
            {"max_metadata_size", "max_piece_count", "metadata_token_limit"},
        )
        for name in ("max_metadata_size", "max_piece_count", "metadata_token_limit"):
            self.assertLess(GUARDS[name], theirs[name])
        for name in (
            "ssrf_mitigation",
            "validate_https_trackers",
            "dht_restrict_routing_ips",
            "dht_restrict_search_ips",
            "dht_prefer_verified_node_ids",
            "dht_ignore_dark_internet",
            "ban_web_seeds",
        ):
            self.assertIs(GUARDS[name], True, name)


class SessionTests(TestCase):
    async def test_a_session_has_them(self) -> None:
        link = Link(
            reactor, "guards", discovery=False, loopback=True, dropped=lambda: None, web_seeds=WebSeeds()
        )
        await link.open({})
        try:
            settings: Any = await link.worker.call(link.live.get_settings)
        finally:
            await link.close(Stopping("end"), grace=0)
        self.assertEqual({name: settings[name] for name in GUARDS}, GUARDS)
