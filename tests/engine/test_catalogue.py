"""Torrents found by any hash or by handle, also while they learn hashes and go."""

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.catalogue import Catalogue
from resttorrent.engine.infohash import Identity
from resttorrent.errors import TorrentNotFound

from .fakes import V1, V2, fake_handle, torrent


class CatalogueTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.catalogue = Catalogue()
        self.hybrid = torrent(identity=Identity(V1, V2))
        self.catalogue.add(self.hybrid)

    def test_every_form_of_the_hash(self) -> None:
        for name in (V1, V1.upper(), V2, V2[:40], "VOV2XK5LVOV2XK5LVOV2XK5LVOV2XK5L"):
            self.assertIs(self.catalogue.named(name), self.hybrid)

    def test_unknown_and_malformed(self) -> None:
        for name in ("00" * 20, "", "x", "ab" * 21):
            self.assertRaises(TorrentNotFound, self.catalogue.named, name)

    def test_one_hash_in_common_is_enough(self) -> None:
        self.assertIs(self.catalogue.of_identity(Identity(None, V2)), self.hybrid)
        self.assertIs(self.catalogue.of_identity(Identity(V1, None)), self.hybrid)
        self.assertIsNone(self.catalogue.of_identity(Identity("00" * 20, None)))

    def test_hash_that_is_learned(self) -> None:
        catalogue, magnet = Catalogue(), torrent(identity=Identity(None, V2))
        catalogue.add(magnet)
        magnet.infohash_v1 = V1
        catalogue.add(magnet)
        self.assertEqual(magnet.infohash, V2[:40])
        self.assertIs(catalogue.named(V1), magnet)
        self.assertEqual(len(catalogue), 1)

    def test_hash_that_belongs_to_another(self) -> None:
        """Both magnets of a hybrid: neither takes the other's name."""
        catalogue = Catalogue()
        by_v1, by_v2 = torrent(identity=Identity(V1, None)), torrent(identity=Identity(None, V2))
        catalogue.add(by_v1)
        catalogue.add(by_v2)
        by_v2.infohash_v1 = V1
        catalogue.add(by_v2)
        self.assertIs(catalogue.named(V1), by_v1)
        catalogue.remove(by_v2)
        self.assertIs(catalogue.named(V1), by_v1)

    def test_removed_handle_is_known_until_it_is_forgotten(self) -> None:
        handle = fake_handle()
        self.catalogue.loaded(self.hybrid, handle)
        self.catalogue.remove(self.hybrid)
        self.assertNotIn(self.hybrid, self.catalogue)
        self.assertRaises(TorrentNotFound, self.catalogue.named, V2)
        self.assertIs(self.catalogue.of_handle(handle), self.hybrid)
        self.catalogue.forget_handle(handle)
        self.assertIsNone(self.catalogue.of_handle(handle))

    def test_added_again_is_another(self) -> None:
        again = torrent(identity=Identity(V1, V2))
        self.catalogue.remove(self.hybrid)
        self.catalogue.add(again)
        self.assertNotIn(self.hybrid, self.catalogue)
        self.catalogue.remove(self.hybrid)
        self.assertIs(self.catalogue.named(V1), again)

    def test_clear(self) -> None:
        self.catalogue.loaded(self.hybrid, fake_handle())
        self.catalogue.clear()
        self.assertEqual((len(self.catalogue), self.hybrid.handle), (0, None))
