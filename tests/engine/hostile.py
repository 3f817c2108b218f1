"""
Torrents and magnet links that nobody means well with: bytes by name, all made here, none downloaded.

Whatever names an address names one on loopback, where nobody listens, or one that no look-up can find.
"""

import random
from collections.abc import Iterator, Mapping
from typing import Any

import libtorrent as lt

PIECE = 16384
HASH = "0123456789abcdef0123456789abcdef01234567"
HASH_V2 = "ab" * 32
NAMES: Mapping[str, bytes] = {
    "parent": b"..",
    "up and out": b"../../x",
    "absolute": b"/etc/x",
    "back in": b"x/../../y",
    "home": b"~/x",
    "nul": b"a\0b",
    "backslash": b"..\\..\\x",
    "not utf-8": b"\xff\xfe",
    "surrogate": b"\xed\xa0\x80x",
    "overlong slash": b"..\xc0\xaf..\xc0\xafx",
    "beyond unicode": b"\xf4\x90\x80\x80",
    "right to left": b"\xe2\x80\xaegpj.exe",
    "combining": b"e\xcc\x81" * 20,
    "line separator": b"a\xe2\x80\xa8b",
    "controls": b"\r\n\t\x1b[31m\x7f",
    "empty": b"",
    "dot": b".",
    "space": b" ",
    "long": b"n" * 5000,
    "long in bytes": "é".encode() * 400,
}
_NUMBERS = {
    "negative": b"i-1e",
    "minus zero": b"i-0e",
    "leading zeros": b"i00010e",
    "greatest": b"i9223372036854775807e",
    "least": b"i-9223372036854775808e",
    "huge": b"i%de" % 10**400,
    "empty": b"ie",
    "text": b"3:ten",
    "list": b"l" + b"i10e" + b"e",
}


def encode(value: Any) -> bytes:
    """Bencoded (BEP 3)."""
    return bytes(lt.bencode(value))


def info(**changes: Any) -> dict[bytes, Any]:
    """An info dictionary of one file; ``_`` in a key stands for a space, ``None`` takes a key out."""
    plain: dict[bytes, Any] = {
        b"name": b"x",
        b"piece length": PIECE,
        b"pieces": b"\1" * 20,
        b"length": 10,
    }
    plain.update({name.encode().replace(b"_", b" "): value for name, value in changes.items()})
    return {key: value for key, value in plain.items() if value is not None}


def torrent(outer: Mapping[bytes, Any] | None = None, **changes: Any) -> bytes:
    """A torrent whose info dictionary is ``info(**changes)``."""
    return encode({b"info": info(**changes), **(outer or {})})


def of_files(*files: Mapping[bytes, Any], name: bytes = b"folder") -> bytes:
    """A v1 torrent of a folder."""
    total = sum(int(file[b"length"]) for file in files)
    pieces = b"\1" * 20 * -(-total // PIECE)
    return torrent(name=name, length=None, files=[dict(file) for file in files], pieces=pieces)


def file(*path: bytes, length: int = 5, **more: Any) -> dict[bytes, Any]:
    return {b"length": length, b"path": list(path)} | {
        name.encode().replace(b"_", b" "): value for name, value in more.items()
    }


def many_files(count: int, *, depth: int = 1) -> bytes:
    """A v1 torrent of that many files of one byte, each below ``depth - 1`` folders."""
    entry = b"d6:lengthi1e4:pathl" + b"1:d" * (depth - 1) + b"7:f%06dee"
    entries = b"".join(entry % number for number in range(count))
    frame = torrent(name=b"folder", length=None, files=[], pieces=b"\1" * 20 * -(-count // PIECE))
    return frame.replace(b"5:filesle", b"5:filesl" + entries + b"e")


def many_files_v2(count: int) -> bytes:
    """The same as BEP 52 has it."""
    entry = b"7:f%06dd0:d6:lengthi1e11:pieces root32:" + b"\2" * 32 + b"ee"
    entries = b"".join(entry % number for number in range(count))
    dictionary = info(length=None, pieces=None, meta_version=2, file_tree={})
    frame = encode({b"info": dictionary, b"piece layers": {}})
    return frame.replace(b"9:file treede", b"9:file treed" + entries + b"e")


def many_pieces(count: int) -> bytes:
    return torrent(length=PIECE * count, pieces=b"\1" * 20 * count)


def with_names() -> dict[str, bytes]:
    """Torrents with hostile names of files and folders."""
    made = {}
    for what, name in NAMES.items():
        made[f"name: {what}"] = torrent(name=name)
        made[f"path: {what}"] = of_files(file(name), file(b"d", name), file(name, b"z"), file(b"plain"))
        made[f"both: {what}"] = of_files(file(name, name), name=name)
        # files without content are made as soon as the torrent runs
        made[f"no content: {what}"] = of_files(file(name, length=0), file(b"plain"), name=b"folder " + name)
    made["twins"] = of_files(file(b"same"), file(b"same"), file(b"same"))
    made["case twins"] = of_files(file(b"Same"), file(b"same"), file(b"SAME"))
    made["file and folder"] = of_files(file(b"a"), file(b"a", b"b"), file(b"a", b"b", b"c"))
    made["file and deeper folder"] = of_files(file(b"d"), file(b"A"), file(b"a", b"b", b"c"))
    made["no path"] = of_files(file())
    made["no files"] = of_files()
    made["deep folders"] = of_files(file(*([b"d"] * 2000)))
    made["utf-8 twin key"] = encode({b"info": info() | {b"name.utf-8": b"../\xff"}})
    return made


def with_links() -> dict[str, bytes]:
    """Torrents with symlinks (BEP 47), most of which lead out."""
    targets = {
        "up": [b"..", b"..", b"..", b"etc"],
        "absolute": [b"/etc/passwd"],
        "root": [b"", b"etc"],
        "itself": [b"link"],
        "parent": [b".."],
        "nothing": [],
        "not utf-8": [b"\xff"],
        "nul": [b"\0"],
        "plain": [b"plain"],
    }
    made = {}
    for what, target in targets.items():
        link = file(b"link", length=0, attr=b"l", symlink_path=target)
        through = file(b"link", b"through")
        made[f"link: {what}"] = of_files(link, file(b"plain"), name=b"links " + what.encode())
        made[f"through a link: {what}"] = of_files(link, through, name=b"through " + what.encode())
    return made


def with_numbers() -> dict[str, bytes]:
    """Torrents with numbers that can't be."""
    made = {}
    for what, number in _NUMBERS.items():
        made[f"length {what}"] = torrent().replace(b"6:lengthi10e", b"6:length" + number)
        made[f"piece length {what}"] = torrent().replace(b"i16384e", number)
    for length in (0, 1, 2, 2**30, 2**31, 2**40):
        made[f"piece length {length}"] = torrent(piece_length=length)
    for what, pieces in {"none": b"", "short": b"1" * 19, "too many": b"1" * 40, "number": 5}.items():
        made[f"pieces {what}"] = torrent(pieces=pieces)
    for version in (-1, 0, 2, 3, b"2"):
        made[f"meta version {version!r}"] = torrent(meta_version=version)
    return made


def with_addresses() -> dict[str, bytes]:
    """Torrents with trackers, web seeds and nodes that nobody wants; add them stopped."""
    local = b"http://127.0.0.1:1/announce"
    addresses = {
        "not utf-8": b"http://127.0.0.1:1/\xff",
        "host not utf-8": b"http://\xff/",
        "only bytes": b"\xff\xfe",
        "nul": b"http://127.0.0.1:1/\0",
        "line break": b"http://127.0.0.1:1/\r\nHost: x",
        "file": b"file:///etc/passwd",
        "gopher": b"gopher://127.0.0.1:1/",
        "no scheme": b"127.0.0.1",
        "empty": b"",
        "long": local + b"x" * 100_000,
    }
    made = {}
    for what, address in addresses.items():
        made[f"announce {what}"] = torrent({b"announce": address})
        made[f"announce-list {what}"] = torrent({b"announce-list": [[address, local], [address]]})
        made[f"url-list {what}"] = torrent({b"url-list": [address, b"http://127.0.0.1:1/"]})
        made[f"httpseeds {what}"] = torrent({b"httpseeds": [address]})
    for key in (b"announce", b"announce-list", b"url-list", b"nodes", b"comment", b"creation date"):
        for what, value in {
            "number": 5,
            "lists": [[[]]],
            "mixed": [5, [5, b"\xff"]],
            "dict": {b"a": 1},
        }.items():
            made[f"{key.decode()} {what}"] = torrent({key: value})
    made["nodes"] = torrent({b"nodes": [[b"node.invalid", 1], [b"127.0.0.1", 1], [b"\xff", 1]]})
    made["thousands of trackers"] = torrent(
        {b"announce-list": [[b"http://127.0.0.1:1/%d" % number] for number in range(5000)]}
    )
    made["100,000 trackers"] = torrent(
        {b"announce-list": [[b"http://127.0.0.1:1/%d" % number] for number in range(100_000)]}
    )
    made["bytes as text"] = torrent({b"comment": b"\xff", b"created by": b"\xff", b"encoding": b"\xff"})
    return made


def shapeless() -> dict[str, bytes]:
    """What is hardly bencoded, or nothing of what a torrent has."""
    good = torrent()
    return {
        "nothing": b"",
        "junk": random.Random(1).randbytes(3000),
        "text": b"<!DOCTYPE html><html>404</html>",
        "empty dictionary": b"de",
        "only the key": b"d4:infoe",
        "empty info": b"d4:infodee",
        "info is a number": b"d4:infoi1ee",
        "info is text": b"d4:info3:abce",
        "list": b"l" + good + b"e",
        "info alone": encode(info()),
        "twice": good * 2,
        "rubbish after it": good + b"\0\xff",
        "byte order mark": b"\xef\xbb\xbf" + good,
        "endless text": b"d4:info99999999999999999999:x",
        "text beyond the end": b"d4:info99999999:x",
        "deep lists": b"d1:a" + b"l" * 10_000 + b"e" * 10_000 + b"e",
        "deep dictionaries": b"d1:a" + b"d1:a" * 10_000 + b"i1e" + b"e" * 10_000 + b"e",
        "deep, never closed": b"d1:a" + b"l" * 1_000_000,
        "twin keys": b"d4:infod6:lengthi1ee4:info" + good[7:],
        "wide": b"d1:al" + b"i1e" * 1_000_000 + b"e" + good[1:],
    }


def named() -> dict[str, bytes]:
    """All of the above."""
    return with_names() | with_links() | with_numbers() | with_addresses() | shapeless()


def outsized() -> dict[str, bytes]:
    """Torrents beyond what is taken."""
    return {
        "200,000 files": many_files(200_000),
        "200,000 files, v2": many_files_v2(200_000),
        "1,000,000 pieces": many_pieces(1_000_000),
    }


def truncated(data: bytes, count: int) -> Iterator[bytes]:
    """The first bytes of it, at ``count`` lengths, the shortest and the longest among them."""
    for number in range(count):
        yield data[: (len(data) - 1) * number // (count - 1)]


def mutated(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """It with one to six bytes flipped, put in, left out or doubled."""
    dice = random.Random(seed)
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(dice.randint(1, 6)):
            _mutate(changed, dice)
        yield bytes(changed)


def _mutate(changed: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(changed))
    match dice.randrange(5):
        case 0:
            changed[at] ^= 1 << dice.randrange(8)
        case 1:
            changed[at] = dice.choice(b"dlie:0123456789-\0\xff./")
        case 2:
            changed.insert(at, dice.choice(b"dlie:0123456789-\0\xff./"))
        case 3:
            del changed[at : at + dice.randint(1, 4)]
        case _:
            changed[at:at] = changed[at : at + dice.randint(1, 30)]


def magnets() -> dict[str, str]:
    """Magnet links, some of them good ones; add them stopped."""
    good = f"magnet:?xt=urn:btih:{HASH}"
    fields = {
        "name not utf-8": "dn=%ff%fe",
        "name with nul": "dn=a%00b",
        "name is a path": "dn=../../etc/passwd",
        "name right to left": "dn=%E2%80%AEgpj.exe",
        "name half a surrogate pair": "dn=%ED%A0%80",
        "name with a broken escape": "dn=%zz%",
        "name twice": "dn=a&dn=b",
        "tracker not utf-8": "tr=http://127.0.0.1:1/%ff",
        "tracker with nul": "tr=http://127.0.0.1:1/%00",
        "tracker with a line break": "tr=http://127.0.0.1:1/%0d%0aHost:%20x",
        "tracker is a file": "tr=file:///etc/passwd",
        "peer junk": "x.pe=junk&x.pe=:&x.pe=127.0.0.1:99999&x.pe=%ff&x.pe=[::1&x.pe=127.0.0.1:0",
        "web seed is a file": "ws=file:///etc&ws=%ff",
        "node": "dht=node.invalid:1&dht=%ff",
        "huge selection": "so=0-99999999999,-1,x",
        "nothing but signs": "=&&&==&%=%&\u0661",
        "hundreds of trackers": "&".join(f"tr=http://127.0.0.1:1/{number}" for number in range(400)),
    }
    made = {what: f"{good}&{field}" for what, field in fields.items()}
    made |= {
        "plain": good,
        "capitals": f"MAGNET:?XT=URN:BTIH:{HASH.upper()}",
        "base32": "magnet:?xt=urn:btih:" + "b2" * 16,
        "v2": f"magnet:?xt=urn:btmh:1220{HASH_V2}",
        "hybrid": f"{good}&xt=urn:btmh:1220{HASH_V2}",
        "two of one kind": f"{good}&xt=urn:btih:{HASH[::-1]}",
    }
    return made


def bad_magnets() -> dict[str, str]:
    """Links that name no torrent, or name it in a way that is refused."""
    good = f"magnet:?xt=urn:btih:{HASH}"
    return {
        "empty": "",
        "no question mark": f"magnet:xt=urn:btih:{HASH}",
        "nothing in it": "magnet:?",
        "other scheme": "http://127.0.0.1/",
        "zeros": "magnet:?xt=urn:btih:" + "0" * 40,
        "zeros in base32": "magnet:?xt=urn:btih:" + "A" * 32,
        "zeros, v2": "magnet:?xt=urn:btmh:1220" + "0" * 64,
        "short": "magnet:?xt=urn:btih:abc",
        "digits of another script": "magnet:?xt=urn:btih:" + "\u0661" * 40,
        "another hash": "magnet:?xt=urn:btmh:1120" + HASH_V2,
        "fragment": good + "#x",
        "thousands of trackers": good + "&tr=http://127.0.0.1:1/" * 3000,
        "long name": good + "&dn=" + "x" * 1_000_000,
    }
