"""Makes ``twistd resttorrent`` exist. Every run of twistd imports this file: it imports nothing of ours."""

from twisted.application.service import ServiceMaker

resttorrent = ServiceMaker(
    "RestTorrent", "resttorrent.tap", "BitTorrent daemon driven over REST", "resttorrent"
)
