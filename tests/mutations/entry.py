"""Who may come in, and who may not: tokens, scopes, hosts, origins, proxies."""

from tests.mutations.mutation import taken_out

MUTATIONS = (
    # -- who may
    taken_out(
        "scope of a command", "commands/registry.py",
        "        principal.require(self.scope)\n", "",
        "access.test_scopes.RestTests", "access.test_scopes.LiveTests", "access.test_scopes.PrincipalTests",
    ),
    taken_out(
        "a command must declare a scope", "commands/registry.py",
        "if scope not in (PUBLIC, *SCOPES):", "if False:",
        "access.test_scopes.DeclaredTests",
    ),
    taken_out(
        "scope of one command: delete_session", "commands/sessions.py",
        '@command("DELETE", "/v1/sessions/{session_id}", scope="admin")',
        '@command("DELETE", "/v1/sessions/{session_id}", scope="read")',
        "access.test_scopes.DeclaredTests",
    ),
    taken_out(
        "scopes include only smaller ones", "access/principals.py",
        "return SCOPES[: 1 + max(map(SCOPES.index, scopes))]", "return SCOPES",
        "access.test_policy.TokenTests",
    ),
    taken_out(
        "owner: not through a proxy", "access/policy.py",
        "if facts.proxied or (self._trusted_proxies and self._is_trusted(facts.peer)):",
        "if self._trusted_proxies and self._is_trusted(facts.peer):",
        "access.test_policy.OwnerTests",
    ),
    taken_out(
        "owner: not from a trusted proxy's address", "access/policy.py",
        "if facts.proxied or (self._trusted_proxies and self._is_trusted(facts.peer)):",
        "if facts.proxied:",
        "access.test_policy.OwnerTests",
    ),
    taken_out(
        "a token that a connection knows: still good", "rest/judging.py",
        "                self._check(known[1])\n", "                pass\n",
        "rest.test_judging.KnownTests",
    ),
    taken_out(
        "a token that a connection knows: this very one", "rest/judging.py",
        "if known is not None and known[0] == header:", "if known is not None:",
        "rest.test_judging.KnownTests",
    ),
    taken_out(
        "a token that a connection knows: by a bearer's header", "rest/judging.py",
        "if principal.grant is not None and bearer_of(header) is not None:",
        "if principal.grant is not None:",
        "rest.test_judging.KnownTests",
    ),
    taken_out(
        "owner: from loopback alone", "access/policy.py",
        "        if not is_loopback(facts.peer):\n            return False\n", "",
        "access.test_policy.OwnerTests",
    ),
    taken_out(
        "owner: for a loopback Host alone", "access/policy.py",
        "        if not self._is_loopback_host(host):\n            return False\n", "",
        "access.test_policy.OwnerTests",
    ),
    taken_out(
        "owner: from this site's pages alone", "access/policy.py",
        'return origin is None or same_site(origin.decode("latin-1"), host.decode("latin-1"))', "return True",
        "access.test_policy.OwnerTests",
    ),
    taken_out(
        "--auth always", "access/policy.py",
        'if self._auth == "auto" and self._is_owner(facts):', "if self._is_owner(facts):",
        "access.test_policy.OwnerTests",
    ),
    taken_out(
        "what counts as passed on by a proxy", "access/requests.py",
        "if name in _OF_PROXIES or name.startswith(_FORWARDED):", "if name in _OF_PROXIES:",
        "access.test_scopes.RestTests",
    ),
    taken_out(
        "X-Forwarded-For from trusted proxies alone", "access/policy.py",
        'if b"x-forwarded-for" not in facts.headers or not self._is_trusted(facts.peer):',
        'if b"x-forwarded-for" not in facts.headers:',
        "access.test_policy.CountingTests",
    ),
    taken_out(
        "the last untrusted forwarder counts", "access/policy.py",
        'for entry in reversed(facts.headers[b"x-forwarded-for"].decode("latin-1").split(",")):',
        'for entry in facts.headers[b"x-forwarded-for"].decode("latin-1").split(","):',
        "access.test_policy.CountingTests",
    ),
    taken_out(
        "--auth never on loopback alone", "service.py",
        "                require_loopback(self._ports)\n", "                pass\n",
        "access.test_daemon.NeverTests.test_beyond_this_machine",
    ),
    taken_out(
        "UNIX socket for its owner", "listening.py",
        '_UNIX_MODE = ":mode=600"', '_UNIX_MODE = ":mode=666"',
        "test_listening", "access.test_daemon.AutoTests.test_unix_socket",
    ),
    # -- tokens
    taken_out(
        "wrong tokens are refused", "access/policy.py",
        "        wait = self._attempts.wrong(address)\n",
        "        return OWNER\n        wait = self._attempts.wrong(address)\n",
        "access.test_policy.TokenTests",
    ),
    taken_out(
        "wrong tokens are counted", "access/attempts.py",
        "        if len(times) >= self._most:\n", "        if False:\n",
        "access.test_attempts.AttemptsTests", "access.test_policy.CountingTests",
    ),
    taken_out(
        "wrong tokens age", "access/attempts.py",
        "while times and now - times[0] >= self._period:", "while False:",
        "access.test_attempts.AttemptsTests",
    ),
    taken_out(
        "addresses with wrong tokens are bounded", "access/attempts.py",
        "if len(self._entries) > MOST_ADDRESSES:", "if False:",
        "access.test_attempts.AttemptsTests",
    ),
    taken_out(
        "an IPv6 network counts as one", "access/attempts.py",
        'return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"', "return str(parsed)",
        "access.test_attempts.AttemptsTests",
    ),
    taken_out(
        "only a hash is kept", "access/tokens.py",
        'return hashlib.sha256(text.encode("utf-8", "replace")).digest()',
        'return text.encode("utf-8", "replace")',
        "access.test_tokens.TokensTests",
    ),
    taken_out(
        "tokens expire", "access/tokens.py",
        "return token.record.expiry is not None and self._wall() >= token.record.expiry", "return False",
        "access.test_policy.TokenTests", "access.test_tokens.TokensTests",
    ),
    taken_out(
        "a deleted token is worthless at once", "access/tokens.py",
        "            self._used.discard(token_id)\n            self._tell(token_id)\n",
        "            self._used.discard(token_id)\n",
        "access.test_tokens.TokensTests", "access.test_scopes.LiveTests",
    ),
    taken_out(
        "a socket's token is looked at for each command", "live/door.py",
        "        self._policy.check(visit.principal)\n", "",
        "access.test_scopes.LiveTests.test_deleted_token",
    ),
    taken_out(
        "tokens are bounded", "access/tokens.py",
        "        if len(self._by_id) >= MOST_TOKENS:\n", "        if False:\n",
        "access.test_tokens.TokensTests",
    ),
    taken_out(
        "no token in a URL over REST", "rest/app.py",
        "        exchange.principal = self._who(request)\n",
        "        given = dict(urlencoded.pairs_of(exchange.query)).get('token')\n"
        "        if isinstance(given, str):\n"
        "            request.requestHeaders.setRawHeaders(b'Authorization', [b'Bearer ' + given.encode()])\n"
        "        exchange.principal = self._who(request)\n",
        "access.test_scopes.RestTests.test_not_in_the_query",
    ),
    taken_out(
        "the first token's file is private", "access/first_token.py",
        "        os.fchmod(file.fileno(), 0o600)\n", "        os.fchmod(file.fileno(), 0o644)\n",
        "access.test_tokens.FirstTokenTests",
    ),
    taken_out(
        "the first token is random", "access/tokens.py",
        "return secrets.token_urlsafe(32)", 'return "adminadmin"',
        "access.test_tokens.FirstTokenTests", "access.test_tokens.TokensTests",
    ),
    # -- browsers
    taken_out(
        "CSRF token beside the cookie", "access/policy.py",
        "if facts.method not in SAFE_METHODS and not same(",
        "if facts.method == b'NONE' and not same(",
        "access.test_policy.LoginTests",
    ),
    taken_out(
        "the cookie is HttpOnly", "rest/replies.py",
        'line += b"; HttpOnly"', 'line += b""',
        "access.test_daemon.AlwaysTests.test_login",
    ),
    taken_out(
        "the cookie is SameSite=Strict", "rest/replies.py",
        "; Path=/; SameSite=Strict", "; Path=/",
        "access.test_daemon.AlwaysTests.test_login",
    ),
    taken_out(
        "a login ends with its token", "access/policy.py",
        "        self.watch(self.logins.forget)\n", "",
        "access.test_policy.LoginTests",
    ),
    taken_out(
        "a login ends when it is idle", "access/logins.py",
        "oldest = self._seconds() - IDLE", "oldest = -1.0",
        "access.test_policy.LoginTests",
    ),
    # -- who may not
    taken_out(
        "Host is looked at", "access/hosts.py",
        "        return here is not None and host.name == plain_address(here)\n", "        return True\n",
        "access.test_hosts.DnsRebindingTests",
    ),
    taken_out(
        "Host: this connection's address alone", "access/hosts.py",
        "return here is not None and host.name == plain_address(here)",
        "return plain_address(host.name) is not None",
        "access.test_hosts.DnsRebindingTests",
    ),
    taken_out(
        "Host must be there", "rest/screen.py",
        "        if host is None:\n            return False\n",
        "        if host is None:\n            return True\n",
        "access.test_hosts.DnsRebindingTests",
    ),
    taken_out(
        "Host once", "rest/heads.py",
        "    if len(hosts) > 1:\n", "    if False:\n",
        "rest.test_smuggling.SmugglingTests", "access.test_hosts.DnsRebindingTests",
    ),
    taken_out(
        "names that only end like ours", "access/hosts.py",
        'self.name.endswith(".localhost")', 'self.name.endswith("localhost")',
        "access.test_hosts.DnsRebindingTests", "access.test_hosts.HostTests",
    ),
    taken_out(
        "Origin of what changes something", "rest/screen.py",
        "        if self.origins.refuses(origin=origin, fetch_site=site, host=host):\n",
        "        if False:\n",
        "access.test_origins.CsrfTests",
    ),
    taken_out(
        "Sec-Fetch-Site", "access/origins.py",
        "if fetch_site is not None and fetch_site.strip().lower() in FOREIGN_SITES:", "if False:",
        "access.test_origins.CsrfTests",
    ),
    taken_out(
        "Origin null is nobody's", "access/origins.py",
        "    if read is None or not host:\n        return False\n",
        "    if read is None or not host:\n        return True\n",
        "access.test_origins.CsrfTests", "access.test_policy.OwnerTests",
    ),
    taken_out(
        "Origin's port", "access/origins.py",
        "return self.host.name == host.name and (self.host.port or usual) == (host.port or usual)",
        "return self.host.name == host.name",
        "access.test_origins", "access.test_policy.OwnerTests",
    ),
    taken_out(
        "Origin of a Socket.IO session", "live/admission.py",
        'raise Refused(4, "Forbidden", 403)', "return",
        "access.test_origins.CswshTests",
    ),
    taken_out(
        "Origin of a WebSocket, before it", "rest/screen.py",
        'if method in SAFE_METHODS and not headers.hasHeader(b"Upgrade"):', "if method in SAFE_METHODS:",
        "access.test_origins.CswshTests",
    ),
    taken_out(
        "CORS for allowed origins alone", "rest/screen.py",
        'return origin.encode("latin-1") if origin is not None and self.origins.allows(origin) else None',
        'return origin.encode("latin-1") if origin is not None else None',
        "access.test_origins.CorsTests",
    ),
)  # fmt: skip
