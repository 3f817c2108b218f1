"""Which web seeds may be used; nothing is looked up or connected to."""

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.web_seeds import WebSeeds

INSIDE = (
    "http://127.0.0.1/",
    "https://127.0.0.1:8080/v1",
    "http://127.1/",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://0177.0.0.1/",
    "http://0/",
    "http://10.1.2.3/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://100.64.0.1/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[fe80::1]/",
    "http://[fd00::1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://localhost/",
    "http://LOCALHOST.:80/",
    "http://a.localhost/",
)
READ_IN_TWO_WAYS = (
    "http://user:pass@192.168.1.1/",
    "http://seed.example@127.0.0.1/",
    "http://127.0.0.1\\@seed.example/",
    "http://seed.example:99999/",
    "http://[::1/",
    "http:///",
    "http://999.999.999.999/",
    "http://",
    "",
)
OUTSIDE = (
    "http://seed.example/files/",
    "https://seed.example:8443/x?y=z",
    "http://93.184.216.34/",
    "http://[2606:2800:220:1:248:1893:25c8:1946]/",
    "http://localhost.example/",
    "http://notlocalhost/",
)


class WebSeedTests(SynchronousTestCase):
    def test_of_the_house(self) -> None:
        self.assertEqual(WebSeeds().wanted(INSIDE), [])

    def test_doubtful(self) -> None:
        self.assertEqual(WebSeeds().wanted(READ_IN_TWO_WAYS), [])

    def test_of_the_internet(self) -> None:
        self.assertEqual(WebSeeds().wanted([*INSIDE, *OUTSIDE]), list(OUTSIDE))

    def test_admitted(self) -> None:
        seeds = WebSeeds([ip_network("192.168.0.0/16")])
        self.assertEqual(seeds.wanted(INSIDE), ["http://192.168.1.1/"])
        seeds.admit([ip_network("fd00::/8")])
        self.assertEqual(seeds.wanted(INSIDE), ["http://[fd00::1]/"])
