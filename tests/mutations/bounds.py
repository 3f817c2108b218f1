"""Bounds on what strangers can grow, deadlines against slow ones, and one reading of each request."""

from tests.mutations.mutation import taken_out

MUTATIONS = (
    # -- one reading
    taken_out(
        "smuggling: Transfer-Encoding", "rest/heads.py",
        '    if [coding.lower() for coding in codings] != [b"chunked"]:\n', "    if False:\n",
        "rest.test_smuggling.SmugglingTests",
    ),
    taken_out(
        "smuggling: Transfer-Encoding in HTTP/1.0", "rest/heads.py",
        '    if version != b"HTTP/1.1":\n', "    if False:\n",
        "rest.test_smuggling.SmugglingTests",
    ),
    taken_out(
        "smuggling: folded lines", "rest/heads.py",
        '    if line[0] in b" \\t":\n', "    if False:\n",
        "rest.test_smuggling.SmugglingTests",
    ),
    taken_out(
        "smuggling: control characters", "rest/heads.py",
        "    if line.translate(None, _CONTROLS) != line:\n", "    if False:\n",
        "rest.test_smuggling.SmugglingTests",
    ),
    taken_out(
        "smuggling: another host in the target", "rest/heads.py",
        "    if host is None or authority.lower() != host.lower():\n", "    if False:\n",
        "rest.test_smuggling.SmugglingTests",
    ),
    taken_out(
        "smuggling: deaf after what was not understood", "rest/channel.py",
        "        self._is_deaf = True\n        self._allow(FAREWELL)\n", "        self._allow(FAREWELL)\n",
        "rest.test_smuggling.SmugglingTests",
    ),
    # -- slow and greedy clients
    taken_out(
        "slowloris: the head's deadline", "rest/channel.py",
        "        self._in_head = True\n        self._allow(HEAD)\n",
        "        self._in_head = True\n        self._allow(1e9)\n",
        "rest.test_slow_clients.SlowlorisTests",
    ),
    taken_out(
        "slowloris: the body's deadline", "rest/channel.py",
        "self.deadline = self._body_began + body_time(self.length or 0)", "self.deadline = NEVER",
        "rest.test_slow_clients.SlowlorisTests",
    ),
    taken_out(
        "idle connections are closed", "rest/deadlines.py",
        "IDLE = 60.0", "IDLE = 1e9",
        "rest.test_site.ConnectionTests", "rest.test_slow_clients.SlowlorisTests",
    ),
    taken_out(
        "who never reads is broken off", "rest/deadlines.py",
        "return now - self._since >= STALL", "return False",
        "rest.test_slow_clients.GreedyClientTests",
    ),
    taken_out(
        "connections in all", "rest/crowd.py",
        "        if self._in_all >= self.limits.in_all:\n", "        if False:\n",
        "rest.test_slow_clients.CrowdTests",
    ),
    taken_out(
        "connections from one address", "rest/crowd.py",
        "        if counted and self._from[counted] >= self.limits.per_address:\n", "        if False:\n",
        "rest.test_slow_clients.CrowdTests",
    ),
    taken_out(
        "those who are turned away are bounded", "rest/site.py",
        "        if self._turned_away >= MOST_TURNED_AWAY:\n", "        if False:\n",
        "rest.test_slow_clients.CrowdTests",
    ),
    taken_out(
        "a socket's subscriptions", "live/caller.py",
        "            if len(self._subscriptions) >= MOST_SUBSCRIPTIONS:\n", "            if False:\n",
        "live.test_caller",
    ),
    taken_out(
        "a socket's running commands", "live/door.py",
        "        if len(visit.running) >= MOST_RUNNING:\n", "        if False:\n",
        "live.test_door",
    ),
    taken_out(
        "pushes wait for who does not read", "socketio/eio_socket.py",
        "            writable = not self._paused and self.unsent < MOST_AHEAD\n",
        "            writable = True\n",
        "live.test_backpressure.BackpressureTests", "socketio.test_eio_socket", "socketio.test_websocket",
    ),
    taken_out(
        "what waits for a Socket.IO client is bounded", "socketio/eio_socket.py",
        "            too_much = self.unsent > MOST_UNSENT\n", "            too_much = False\n",
        "socketio.test_eio_socket", "socketio.test_attacks_silence",
    ),
    taken_out(
        "Socket.IO sessions are bounded", "socketio/eio_server.py",
        "        if self.sessions.is_full(address, in_all=limits.sockets, per_address=limits.per_address):\n",
        "        if False:\n",
        "socketio.test_eio_server", "socketio.test_attacks_silence.LimitTests",
    ),
    taken_out(
        "who joins no namespace is put out", "socketio/sio_server.py",
        "        if self.deadline is not None and now >= self.deadline:\n", "        if False:\n",
        "socketio.test_sio_server",
    ),
    # -- strangers
    taken_out(
        "who asks is judged before the body comes", "rest/request.py",
        "            self._refusal = self._look()\n", "            pass\n",
        "rest.test_judging.HeadTests",
    ),
    taken_out(
        "each request is judged once", "rest/app.py",
        "        if principal is None or principal.grant is not None:\n", "        if True:\n",
        "rest.test_judging.StrangersBodyTests",
    ),
    taken_out(
        "a token that goes while the body comes", "rest/app.py",
        "        if principal is None or principal.grant is not None:\n", "        if principal is None:\n",
        "rest.test_judging.HeadTests",
    ),
    taken_out(
        "requests of strangers are counted", "access/policy.py",
        "        wait = self._strangers.wait(address)\n", "        wait = 0\n",
        "rest.test_judging.StrangersRateTests",
    ),
    taken_out(
        "commands of one client", "rest/app.py",
        "        self._at_work.check(exchange.principal)\n", "",
        "rest.test_judging.QuotaTests",
    ),
    taken_out(
        "streams of one client", "rest/app.py",
        "            self._subscriptions.check(exchange.principal)\n", "            pass\n",
        "rest.test_judging.QuotaTests",
    ),
    taken_out(
        "subscriptions of one client", "live/caller.py",
        "            self._quota.check(self._principal)\n", "",
        "live.test_caller.QuotaTests",
    ),
    taken_out(
        "what comes behind a request", "rest/channel.py",
        "        if len(self._dataBuffer[0]) > self._optimisticEagerReadSize:\n", "        if False:\n",
        "test_bounds.ConnectionTests",
    ),
    taken_out(
        "what comes behind a request is in one piece", "rest/channel.py",
        '        self._dataBuffer = [b"".join((*self._dataBuffer, data))]\n'
        "        if len(self._dataBuffer[0])",
        "        self._dataBuffer.append(data)\n        if sum(map(len, self._dataBuffer))",
        "test_bounds.ConnectionTests",
    ),
    taken_out(
        "headers are counted", "rest/channel.py",
        "    maxHeaders = MOST_HEADERS\n", "",
        "test_bounds.ConnectionTests",
    ),
    taken_out(
        "trailers", "rest/channel.py",
        "            self._transferDecoder._maxTrailerHeadersSize = TRAILERS\n", "            pass\n",
        "test_bounds.ConnectionTests",
    ),
    taken_out(
        "guests: messages", "socketio/limits.py",
        "        return self.max_frame if joined else min(self.max_frame, self.guest)\n",
        "        return self.max_frame\n",
        "test_bounds.GuestTests", "socketio.test_guests",
    ),
    taken_out(
        "guests: bodies", "socketio/limits.py",
        "        return self.max_payload if joined else min(self.max_payload, self.guest)\n",
        "        return self.max_payload\n",
        "socketio.test_guests",
    ),
    taken_out(
        "guests: what waits", "socketio/eio_socket.py",
        "            too_much = self.unsent + PACKET_COST * len(self._buffer) > self._guest_limit\n",
        "            too_much = False\n",
        "socketio.test_guests", "test_bounds.GuestTests",
    ),
    taken_out(
        "guests: their number", "socketio/eio_server.py",
        "        if room.is_full(address, in_all=limits.guests, per_address=limits.guests_per_address):\n",
        "        if False:\n",
        "socketio.test_guests", "test_bounds.GuestTests",
    ),
    taken_out(
        "guests: attachments", "socketio/sio_server.py",
        "                    self._socket_of(packet)\n", "",
        "socketio.test_guests",
    ),
    taken_out(
        "messages in one piece", "socketio/websocket.py",
        "            self._parts += payload\n",
        "            self._parts += payload\n            self.frame_data.append(payload)\n",
        "test_bounds.GuestTests",
    ),
    taken_out(
        "pings of who does not read", "socketio/websocket.py",
        "        if not self._is_full and self.state == self.STATE_OPEN:\n",
        "        if self.state == self.STATE_OPEN:\n",
        "test_bounds.GuestTests",
    ),
    taken_out(
        "what all clients hold", "socketio/server.py",
        "            most.abort(HELD)\n", "            return\n",
        "socketio.test_guests",
    ),
    # -- bodies
    taken_out(
        "a body's length", "rest/request.py",
        "elif length is not None and length > self._body_limit:", "elif False:",
        "rest.test_site.BodyLimitTests",
    ),
    taken_out(
        "a body's chunks", "rest/request.py",
        "        if self.content.tell() + len(data) > self._body_limit:\n", "        if False:\n",
        "rest.test_site.BodyLimitTests",
    ),
    taken_out(
        "a poll's body", "socketio/resource.py",
        "        return self._polling.body_limit(target)\n", "        return 1 << 30\n",
        "socketio.test_limits.PollLimitTests",
    ),
    taken_out(
        "JSON's depth", "rest/bodies.py",
        "    except RecursionError:\n", "    except ZeroDivisionError:\n",
        "rest.test_bodies.JsonTests",
    ),
    taken_out(
        "JSON's values", "rest/bodies.py",
        'if body.count(b",") + body.count(b"[") + body.count(b"{") > MOST_JSON_VALUES:', "if False:",
        "rest.test_bodies.JsonTests",
    ),
    taken_out(
        "multipart's parts are counted first", "rest/multipart_form.py",
        '    if body.count(b"\\r\\n--" + boundary) > MOST_PARTS + 1:\n', "    if False:\n",
        "rest.test_bodies.MultipartTests",
    ),
    taken_out(
        "forms are not parsed below the door", "rest/site.py",
        "parsePOSTFormSubmission=False", "parsePOSTFormSubmission=True",
        "rest.test_site.ConnectionTests",
    ),
    taken_out(
        "no compressed body", "rest/bodies.py",
        'if content_encoding is not None and content_encoding.strip().lower() != b"identity":', "if False:",
        "rest.test_bodies.ChoosingTests",
    ),
    taken_out(
        "a stranger's body", "rest/request.py",
        "            self._body_limit = min(self._body_limit, STRANGERS_BODY)\n", "            pass\n",
        "rest.test_judging.StrangersBodyTests",
    ),
    taken_out(
        "a header's name", "rest/channel.py",
        '        if line.find(b":") > LONGEST_NAME:\n', "        if False:\n",
        "test_bounds.ConnectionTests.test_long_names",
    ),
    taken_out(
        "answers that nobody reads", "rest/channel.py",
        "        if self._waitingForTransport and self.persistent:\n", "        if False:\n",
        "test_bounds.ConnectionTests.test_pipelined_answers_that_nobody_reads",
    ),
    # -- Socket.IO
    taken_out(
        "bombs: no compression", "socketio/websocket.py",
        "            autoFragmentSize=0,\n",
        "            autoFragmentSize=0,\n"
        "            perMessageCompressionAccept=lambda offers: __import__(\n"
        "                'autobahn.websocket.compress', fromlist=['x']\n"
        "            ).PerMessageDeflateOfferAccept(offers[0]) if offers else None,\n",
        "socketio.test_limits.BombTests", "socketio.test_websocket.OpeningTests",
    ),
    taken_out(
        "bombs: a frame's length", "socketio/websocket.py",
        "        most: int = self.factory.server.engines.limits.message(joined=self.settled)\n",
        "        most = 0\n",
        "socketio.test_limits.BombTests",
    ),
    taken_out(
        "attachments are counted", "socketio/sio_packet.py",
        "    if packet.attachments > MOST_ATTACHMENTS:\n", "    if False:\n",
        "socketio.test_limits.SocketIoLimitTests", "socketio.test_sio_packet",
    ),
    taken_out(
        "attachments are weighed", "socketio/sio_server.py",
        "        if self.holds > MOST_ATTACHED:\n", "        if False:\n",
        "socketio.test_limits.SocketIoLimitTests",
    ),
    taken_out(
        "an attachment is used once", "socketio/attachments.py",
        "    left.remove(number)\n", "",
        "socketio.test_attachments",
    ),
    taken_out(
        "an event's name", "socketio/sio_packet.py",
        "type(data[0]) not in (str, int)", "False",
        "socketio.test_sio_packet",
    ),
    taken_out(
        "a packet's values", "socketio/sio_packet.py",
        '    if openings + raw.count(b",") > MOST_VALUES:\n', "    if False:\n",
        "socketio.test_attacks.EventAttacks",
    ),
    taken_out(
        "a packet's depth", "socketio/sio_packet.py",
        "    if openings > MOST_DEPTH and _is_deeper(data):\n", "    if False:\n",
        "socketio.test_attacks.EventAttacks",
    ),
    taken_out(
        "a payload's packets", "socketio/eio_payload.py",
        "        if body.count(_SEPARATOR) >= MOST_PACKETS:\n", "        if False:\n",
        "socketio.test_eio_payload",
    ),
    # -- what the fuzz alone may see
    taken_out(
        "fuzz: what a command may", "commands/registry.py",
        "        principal.require(self.scope)\n", "",
        "fuzz.test_fuzz.FuzzTests",
    ),
    taken_out(
        "fuzz: what strangers may, by Socket.IO", "live/door.py",
        "        self._policy.check(visit.principal)\n",
        "        self._policy.check(visit.principal)\n"
        "        everything = frozenset(('public', 'read', 'control', 'admin'))\n"
        "        object.__setattr__(visit.principal, 'scopes', everything)\n",
        "fuzz.test_fuzz.FuzzTests",
    ),
    taken_out(
        "fuzz: sessions that stay behind", "socketio/server.py",
        "        self._connections.pop(connection.engine.sid, None)\n", "",
        "fuzz.test_fuzz.FuzzTests",
    ),
    taken_out(
        "fuzz: mistakes", "live/door.py",
        "    if len(arguments) != 1 or not isinstance(arguments[0], dict):\n", "    if False:\n",
        "fuzz.test_fuzz.FuzzTests",
    ),
    taken_out(
        "fuzz: feeds that nobody stops", "live/caller.py",
        "        self._due.pop(subscription, None)\n        subscription.feed.stop()\n",
        "        self._due.pop(subscription, None)\n",
        "fuzz.test_fuzz.FuzzTests",
    ),
    taken_out(
        "fuzz: connections that stay behind", "rest/channel.py",
        "            self._was_taken = True\n            self.site.delist(self)\n",
        "            self._was_taken = True\n",
        "fuzz.test_fuzz.FuzzTests",
    ),
)  # fmt: skip
