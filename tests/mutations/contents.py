"""What comes from the network by our own doing, and what strangers wrote: URLs, torrents, names, paths."""

from tests.mutations.mutation import taken_out

MUTATIONS = (
    # -- fetching
    taken_out(
        "SSRF: addresses are judged", "fetch/fetcher.py",
        "        if not all(is_admitted(address, self._allow) for address in addresses):\n",
        "        if False:\n",
        "test_fetch.JudgementTests",
    ),
    taken_out(
        "SSRF: every address", "fetch/fetcher.py",
        "if not all(is_admitted(", "if not any(is_admitted(",
        "test_fetch.JudgementTests",
    ),
    taken_out(
        "SSRF: each hop", "fetch/fetcher.py",
        "            addresses = await self._judged_addresses(target)\n",
        "            addresses = locals().get('addresses') or await self._judged_addresses(target)\n",
        "test_fetch.JudgementTests", "test_fetch.OutboundTests",
    ),
    taken_out(
        "SSRF: IPv4 inside IPv6", "fetch/addresses.py",
        '        "2002::/16",  # 6to4: holds any IPv4 address\n', "",
        "test_fetch.AddressTests",
    ),
    taken_out(
        "SSRF: cloud metadata", "fetch/addresses.py",
        '        "169.254.0.0/16",  # link-local, and most clouds\' metadata\n', "",
        "test_fetch.AddressTests", "test_fetch.JudgementTests",
    ),
    taken_out(
        "SSRF: numeric spellings", "fetch/targets.py",
        "        address = IPv4Address(socket.inet_aton(name))\n", "        return name, None\n",
        "test_fetch.TargetTests", "test_fetch.JudgementTests",
    ),
    taken_out(
        "SSRF: http and https alone", "fetch/targets.py",
        '{"http": 80, "https": 443}', '{"http": 80, "https": 443, "ftp": 21}',
        "test_fetch.TargetTests",
    ),
    taken_out(
        "SSRF: the address that was judged", "fetch/connector.py",
        "endpoint = kind(self._reactor, str(address), self._port, timeout=CONNECT_TIMEOUT)",
        "endpoint = kind(self._reactor, '127.0.0.1', self._port, timeout=CONNECT_TIMEOUT)",
        "test_fetch.JudgementTests",
    ),
    taken_out(
        "fetch: redirects are counted", "fetch/fetcher.py",
        "for _ in range(MAX_REDIRECTS + 1):", "for _ in range(MAX_REDIRECTS + 5):",
        "test_fetch.RequestTests",
    ),
    taken_out(
        "fetch: deadline", "fetch/fetcher.py",
        "callLater(DEADLINE, work.cancel)", "callLater(DEADLINE * 1e6, work.cancel)",
        "test_fetch.DeadlineTests.test_total_of_all_hops", "test_fetch.DeadlineTests.test_dripping_body",
    ),
    taken_out(
        "fetch: a body's bytes", "fetch/exchange.py",
        "        if self._size > self._limit:\n", "        if False:\n",
        "test_fetch.BodyTests",
    ),
    taken_out(
        "fetch: no inflating", "fetch/exchange.py",
        "    if any(encoding.strip().lower()", "    if False and any(encoding.strip().lower()",
        "test_fetch.BodyTests",
    ),
    taken_out(
        "fetch: a head's bytes", "fetch/connector.py",
        "            if self.budget < 0:\n", "            if False:\n",
        "test_fetch.RequestTests.test_endless_headers",
    ),
    taken_out(
        "outbound: no credentials in a URL", "fetch/targets.py",
        '    if "@" in match["authority"]:\n'
        '        raise ValueError("a URL without user name or password")\n'
        '    authority = _AUTHORITY.fullmatch(match["authority"])\n',
        '    authority = _AUTHORITY.fullmatch(match["authority"].rpartition("@")[2])\n',
        "test_fetch.TargetTests", "test_fetch.OutboundTests",
    ),
    taken_out(
        "outbound: nothing said of oneself", "fetch/exchange.py",
        '            b"Accept": [b"*/*"],\n',
        '            b"Accept": [b"*/*"],\n            b"Cookie": [b"a=b"],\n',
        "test_fetch.OutboundTests", "test_fetch.RequestTests",
    ),
    taken_out(
        "outbound: a host's length", "fetch/targets.py",
        "    if len(name) > LONGEST_HOST:\n", "    if False:\n",
        "test_fetch.OutboundTests", "test_fetch.TargetTests",
    ),
    taken_out(
        "outbound: never from https to http", "fetch/fetcher.py",
        'if base.scheme == "https" and target.scheme != "https":', "if False:",
        "test_fetch.WireTests.test_tls_never_falls_back",
    ),
    taken_out(
        "TLS is verified", "fetch/exchange.py",
        "        return policy.creatorForNetloc(target.host.encode(), target.port)\n",
        "        from twisted.internet.ssl import CertificateOptions\n"
        "        from twisted.internet._sslverify import ClientTLSOptions\n"
        "        options = ClientTLSOptions(target.host, CertificateOptions(verify=False).getContext())\n"
        "        options._hostnameIsDnsName = True\n"
        "        options._identityVerifyingInfoCallback = lambda *a: None\n"
        "        return options\n",
        "test_fetch.WireTests.test_tls_verifies_the_name_of_the_url",
    ),
    taken_out(
        "libtorrent's own SSRF guard", "engine/profile.py",
        '"ssrf_mitigation": True', '"ssrf_mitigation": False',
        "engine.test_session.TrackerSsrfTests",
    ),
    taken_out(
        "libtorrent verifies trackers by https", "engine/profile.py",
        '"validate_https_trackers": True', '"validate_https_trackers": False',
        "engine.test_session.TrackerSsrfTests",
    ),
    taken_out(
        "hostile DHT nodes", "engine/profile.py",
        '"dht_restrict_search_ips": True', '"dht_restrict_search_ips": False',
        "engine.test_profile.GuardTests",
    ),
    taken_out(
        "metadata from peers is bounded", "engine/profile.py",
        '    "max_metadata_size": MAX_BYTES,\n', "",
        "engine.test_profile.GuardTests",
    ),
    # -- torrents
    taken_out(
        "trackers of known schemes", "engine/metainfo.py",
        "islice((t for t in tiered if _is_wanted(t[0], _TRACKER_SCHEMES)), MAX_TRACKERS)",
        "islice(tiered, MAX_TRACKERS)",
        "engine.test_metainfo.AddressTests",
    ),
    taken_out(
        "a torrent's trackers", "engine/metainfo.py",
        "_TRACKER_SCHEMES)), MAX_TRACKERS)", "_TRACKER_SCHEMES)), None)",
        "engine.test_metainfo.AddressTests",
    ),
    taken_out(
        "DHT nodes of a torrent", "engine/metainfo.py",
        "    params.dht_nodes = []\n", "",
        "engine.test_metainfo.AddressTests",
    ),
    taken_out(
        "web seeds of known schemes", "engine/metainfo.py",
        "if _is_wanted(address, _WEB_SEED_SCHEMES))", "if True)",
        "engine.test_metainfo.AddressTests",
    ),
    taken_out(
        "a torrent's files", "engine/metainfo.py",
        "        if data.count(mark) > most:\n", "        if False:\n",
        "engine.test_metainfo.LimitTests", "engine.test_metainfo.AddressTests",
    ),
    taken_out(
        "a torrent's pieces", "engine/metainfo.py",
        '"max_pieces": MAX_PIECES_V2 if _META_VERSION_2 in data else MAX_PIECES', '"max_pieces": 1 << 30',
        "engine.test_metainfo.LimitTests",
    ),
    taken_out(
        "a torrent's bytes", "engine/metainfo.py",
        "    if len(data) > MAX_BYTES:\n", "    if False:\n",
        "engine.test_metainfo.LimitTests",
    ),
    taken_out(
        "a magnet's fields", "engine/metainfo.py",
        '    if query.count("&") >= MAX_MAGNET_FIELDS:\n', "    if False:\n",
        "engine.test_metainfo.MagnetTests",
    ),
    taken_out(
        "a magnet's name", "engine/metainfo.py",
        'return value[:255] if field == "dn" else value', "return value",
        "engine.test_metainfo.MagnetTests",
    ),
    # -- paths
    taken_out(
        "path traversal: inside a root", "paths/roots.py",
        "        if not self._contain(real):\n            raise _outside()\n", "",
        "test_paths.ConfineTests",
    ),
    taken_out(
        "path traversal: whole components", "paths/resolve.py",
        'return path == root or path.startswith(below(root, ""))', "return path.startswith(root)",
        "test_paths.ConfineTests",
    ),
    taken_out(
        "path traversal: links", "paths/resolve.py",
        "        if mode is not None and stat.S_ISLNK(mode):\n", "        if False:\n",
        "test_paths.ConfineTests",
    ),
    taken_out(
        "path traversal: names in a torrent", "paths/files.py",
        "            if folder and not _NO_NAMES.isdisjoint(folder.split(\"/\")):\n",
        "            if False:\n",
        "test_paths.CheckTests",
    ),
    taken_out(
        "files that are links that lead out", "paths/walk.py",
        "        if not self._is_inside(real):\n", "        if False:\n",
        "test_paths.CheckTests",
    ),
    taken_out(
        "files are looked at when a torrent is loaded", "engine/restoring.py",
        "        await self._confinement.check(torrent.save_path, params.ti)\n", "",
        "engine.test_restoring.LoadingTests.test_link_that_was_put_there_since",
    ),
    taken_out(
        "symlink race: openat2", "paths/openat2.py",
        "_How(FOLDER, 0, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)", "_How(FOLDER & ~os.O_NOFOLLOW, 0, 0)",
        "test_paths.RaceTests",
    ),
    taken_out(
        "symlink race: name by name", "paths/openat2.py",
        "FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC",
        "FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC",
        "test_paths.RaceTests",
    ),
    taken_out(
        "other torrents' files are kept", "paths/deletion.py",
        "if below(self._base, path) in self._keep or below(self._alias, path) in self._keep:",
        "if False:",
        "test_paths.DeleteTests",
    ),
    taken_out(
        "the marker of a root is no torrent's", "paths/roots.py",
        "                if any(name.casefold() == MARKER for name in names):\n",
        "                if False:\n",
        "test_presence.RootsTests",
    ),
    # -- names
    taken_out(
        "log injection: text", "printable.py",
        '    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in _UNFIT else c for c in text)\n',
        "    return text\n",
        "test_logs.TextTests",
    ),
    taken_out(
        "log injection: bidi", "printable.py",
        'frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})', 'frozenset({"Cc", "Cs", "Zl", "Zp"})',
        "test_logs.TextTests", "test_operate.LogTests.test_name_of_a_real_torrent_in_text",
    ),
    taken_out(
        "log injection: JSON's own keys", "logs.py",
        "json.dumps({**values, **own})", "json.dumps({**own, **values})",
        "test_logs.JSONTests",
    ),
    taken_out(
        "a manager told lies by a name", "systemd.py",
        "one_line(shortened(text, _LONGEST_STATUS))", "shortened(text, _LONGEST_STATUS)",
        "test_systemd.NotifierTests",
    ),
    taken_out(
        "XSS: names are text", "web/static/examples/live.html",
        "element.querySelector(part).textContent = text;", "element.querySelector(part).innerHTML = text;",
        "web.test_xss.XssTests.test_names_are_text",
    ),
    taken_out(
        "XSS: messages are text", "web/static/examples/live.html",
        "message.textContent = entry.message;", "message.innerHTML = entry.message;",
        "web.test_xss.XssTests.test_names_are_text",
    ),
    taken_out(
        "XSS: no other sources", "web/examples.py",
        "default-src 'self';", "default-src *;",
        "web.test_xss.XssTests.test_headers",
    ),
    taken_out(
        "XSS: no frames", "web/examples.py",
        '(b"X-Frame-Options", b"DENY")', '(b"X-Frame-Options", b"SAMEORIGIN")',
        "web.test_xss.XssTests.test_headers",
    ),
    taken_out(
        "XSS: JSON is no page", "rest/replies.py",
        'request.setHeader(b"X-Content-Type-Options", b"nosniff")', "pass",
        "web.test_xss.XssTests.test_headers",
    ),
    taken_out(
        "no program is run", "engine/log_entries.py",
        "import msgspec\n", "import subprocess\n\nimport msgspec\n",
        "test_security.NoProgramTests",
    ),
    taken_out(
        "no pickle", "socketio/sio_packet.py",
        "import msgspec\n", "import pickle\n\nimport msgspec\n",
        "test_security.NoPickleTests",
    ),
)  # fmt: skip
