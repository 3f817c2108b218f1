"""
How the text of each option becomes a value.

Each parser takes the text and a ``Place`` and raises ``ValueError`` whose message says what was expected.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

from twisted.internet.endpoints import serverFromString

from .access.hosts import Host
from .access.origins import Origin
from .settings import Network

# Linux allows 15 bytes, and no slash or space (net/core/dev.c, dev_valid_name).
_DEVICE_NAME = re.compile(r"[^\s/,:\x00-\x1f\x7f]{1,15}")
# The word that SQLite uses for a database without a file.
IN_MEMORY = ":memory:"


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a value was written, for the parsers of paths.

    :ivar base: absolute folder that relative paths start from.
    :ivar home: what a leading ``~`` means; ``None`` if this user has no home.
    """

    base: Path
    home: Path | None


Parser = Callable[[str, Place], object]


def port(text: str, _: Place) -> int:
    """Return a TCP port; 0 lets the system choose."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise ValueError("expected a whole number from 0 to 65535")
    return int(text)


def interface(text: str, _: Place) -> str:
    """Return the address to listen on, as it was given."""
    try:
        ip_address(text)
    except ValueError:
        raise ValueError("expected an IP address such as 127.0.0.1, ::1 or 0.0.0.0") from None
    return text


def endpoint(text: str, _: Place) -> str:
    """
    Return a Twisted server endpoint string that Twisted can read.

    It is only parsed here; a reactor is first needed to listen.
    """
    try:
        serverFromString(object(), text)
    except Exception as error:  # each endpoint's parser raises what it likes
        raise ValueError(f"expected a Twisted server endpoint such as tcp:8080 ({error})") from None
    return text


def path(text: str, place: Place) -> Path:
    """Return an absolute path; a leading ``~`` is this user's home."""
    if "\0" in text:
        raise ValueError("expected a path without NUL")
    if text == "~" or text.startswith("~/"):
        if place.home is None:
            raise ValueError("expected an absolute path, for this user has no home directory")
        text = f"{place.home}{text[1:]}"
    return Path(os.path.normpath(place.base / text))


def folder(text: str, place: Place) -> Path:
    """Return the absolute path of a folder, which need not exist yet."""
    found = path(text, place)
    try:
        nearest = next(each for each in (found, *found.parents) if each.exists())
        possible = nearest.is_dir()
    except OSError as error:
        raise ValueError(f"expected a folder ({error.strerror})") from None
    if not possible:
        raise ValueError("expected a folder, but there is a file in its place")
    return found


def state_folder(text: str, place: Place) -> Path | None:
    """Return where the state lives, or ``None`` to keep it in memory."""
    return None if text == IN_MEMORY else folder(text, place)


def peer_interface(text: str, _: Place) -> str:
    """Return an IP address or the name of a network device."""
    try:
        ip_address(text)
    except ValueError:
        if not _DEVICE_NAME.fullmatch(text):
            raise ValueError("expected an IP address or the name of a network device such as eth0") from None
    return text


def network(text: str, _: Place) -> Network:
    """Return a network; a bare address is the network of it alone."""
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError("expected a network such as 192.168.1.0/24 or fd00::/8") from None


def host(text: str, _: Place) -> Host:
    """Return a host that requests may name."""
    return Host.parse(text)


def origin(text: str, _: Place) -> Origin:
    """Return the origin of a site."""
    return Origin.parse(text)


def switch(text: str, _: Place) -> bool:
    """Return whether something is on."""
    if text not in ("on", "off"):
        raise ValueError("expected on or off")
    return text == "on"


def one_of(*words: str) -> Parser:
    """Return a parser that accepts these words alone."""
    expected = f"expected {', '.join(words[:-1])} or {words[-1]}"

    def parse(text: str, _: Place) -> str:
        if text not in words:
            raise ValueError(expected)
        return text

    return parse


def file_mask(text: str, _: Place) -> int:
    """Return a umask written in octal."""
    if not re.fullmatch(r"(0o)?[0-7]{1,4}", text) or int(text, 8) > 0o777:
        raise ValueError("expected an octal number from 0 to 777 such as 0022")
    return int(text, 8)
