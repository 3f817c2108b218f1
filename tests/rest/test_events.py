"""Subscriptions as event streams, over the real site and an in-memory wire."""

import json
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.commands.registry import Command, Registry
from resttorrent.engine.feeds import Part
from resttorrent.errors import EngineTimeout
from resttorrent.rest import events
from resttorrent.rest.deadlines import STALL
from resttorrent.wsgi.channel import Outgoing, deliver
from resttorrent.wsgi.incoming import Incoming

from .feeding import NUMBERS, Event, EventReader, Feeds, unchunked, watch
from .wire import CLIENT, SERVER, Reactor, Wire, World, head

T = TypeVar("T")


class CountedPart(Part):
    """Counts how often something was made of it."""

    made = 0

    def form(self, key: Hashable, make: Callable[[bytes], T]) -> T:
        def counted(members: bytes) -> T:
            self.made += 1
            return make(members)

        return super().form(key, counted)


class Stream:
    """A client with an event stream, over a connection that asks for pauses when told to."""

    def __init__(self, world: World) -> None:
        self.wire = Wire(world.site)
        self.reader = EventReader()
        self.head = b""
        self.raw = b""
        self.ended = False

    def ask(self, target: str = "/v1/numbers", headers: Mapping[str, str] | None = None) -> list[Event]:
        """Send a GET, and give the events that came at once."""
        self.wire.send(head("GET", target, headers))
        self.head, _, body = self.wire.received().partition(b"\r\n\r\n")
        return self._read(body)

    def events(self) -> list[Event]:
        """The events that have come since."""
        return self._read(self.wire.received())

    def _read(self, chunks: bytes) -> list[Event]:
        data, self.ended = unchunked(chunks)
        self.raw += data
        return self.reader.feed(data)

    def pause(self) -> None:
        self.wire.transport.producer.pauseProducing()

    def resume(self) -> None:
        self.wire.transport.producer.resumeProducing()


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.feeds = Feeds()
        self.world = World(registry=NUMBERS, context=self.feeds)
        self.reactor: Reactor = self.world.reactor
        self.stream = Stream(self.world)

    def assertNothingLeft(self, stream: Stream | None = None) -> None:
        """Nobody watches, and beside the connections' own no timer runs."""
        self.assertFalse(any(feed.watching for feed in self.feeds.feeds))
        self.assertTrue(all(feed.stopped for feed in self.feeds.feeds))
        for timer in self.reactor.getDelayedCalls():
            self.assertNotIn("EventStream", str(timer))
        self.successResultOf(self.world.door.drained())
        self.assertEqual(self.flushLoggedErrors(), [])


class OpeningTests(Case):
    def test_head_and_first_event(self) -> None:
        self.assertEqual(self.stream.ask(), [Event("v1/numbers", "7", '{"status":"success","rev":7}')])
        status, *lines = self.stream.head.decode().split("\r\n")
        self.assertEqual(status, "HTTP/1.1 200 OK")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        del headers["date"]
        self.assertEqual(
            headers,
            {
                "server": "resttorrent",
                "content-type": "text/event-stream",
                "cache-control": "no-store",
                "x-accel-buffering": "no",
                "x-content-type-options": "nosniff",
                "transfer-encoding": "chunked",
            },
        )
        self.assertEqual(
            self.stream.raw,
            b'retry: 3000\nevent: v1/numbers\nid: 7\ndata: {"status":"success","rev":7}\n\n',
        )
        self.assertTrue(self.feeds.feed.watching)

    def test_t_id_is_echoed_once(self) -> None:
        [opening] = self.stream.ask("/v1/numbers?t_id=x")
        self.assertEqual(json.loads(opening.data), {"status": "success", "rev": 7, "t_id": "x"})
        self.feeds.step()
        [push] = self.stream.events()
        self.assertNotIn("t_id", json.loads(push.data))

    def test_whatever_is_accepted(self) -> None:
        for headers in ({"Accept": "*/*"}, {"Accept": "application/json", "Accept-Encoding": "gzip"}):
            stream = Stream(self.world)
            self.assertEqual(len(stream.ask(headers=headers)), 1)
            self.assertNotIn(b"Content-Encoding", stream.head)

    def test_posted(self) -> None:
        self.stream.wire.send(head("POST", "/v1/numbers", {"Content-Type": "application/json"}, 11))
        self.stream.wire.send(b'{"since":5}')
        self.assertIn(b"text/event-stream", self.stream.wire.received())
        self.assertEqual(self.feeds.feed.since, 5)
        self.stream.wire.lose()
        self.assertNothingLeft()

    def test_head_request(self) -> None:
        self.stream.wire.send(head("HEAD", "/v1/numbers"))
        raw = self.stream.wire.received()
        self.assertTrue(raw.startswith(b"HTTP/1.1 200 "))
        self.assertIn(b"Content-Type: text/event-stream\r\n", raw)
        self.assertNotIn(b"Content-Length", raw)
        self.assertTrue(raw.endswith(b"\r\n\r\n"))
        self.assertNothingLeft()
        self.assertEqual(self.stream.wire.ask("GET", "/v1/list").status, 200)

    def test_failures_are_answers(self) -> None:
        answer = self.stream.wire.ask("GET", "/v1/numbers?topic=gone")
        self.assertEqual((answer.status, answer.json["code"]), (404, "session_not_found"))
        self.assertEqual(self.stream.wire.ask("GET", "/v1/numbers?sinse=5").status, 400)
        self.feeds.error = EngineTimeout("too slow")
        answer = self.stream.wire.ask("GET", "/v1/numbers")
        self.assertEqual((answer.status, answer.json["code"]), (504, "engine_timeout"))

    def test_commands_without_a_route(self) -> None:
        fields = {n: getattr(watch, n) for n in ("function", "scope", "status", "location", "aliases")}
        routeless = Command(name="only_live", method=None, route=None, parameters=(), **fields)
        world = World(registry=Registry([*NUMBERS, routeless]), context=self.feeds)
        self.assertEqual(world.ask("OPTIONS", "*").headers["allow"], "GET, HEAD, OPTIONS, POST")
        self.assertEqual(world.ask("GET", "/v1/list").status, 200)

    def test_without_a_connection_of_our_own(self) -> None:
        # a WSGI server takes answers whole: the opening, and the browser asks again
        answers: list[Outgoing] = []
        incoming = Incoming(
            b"GET",
            b"/v1/numbers",
            b"",
            ((b"Host", b"127.0.0.1"), (b"Last-Event-Id", b"5")),
            CLIENT,
            SERVER,
            secure=False,
        )
        deliver(self.world.site, incoming, b"", answers.append)
        [answer] = answers
        self.assertEqual(answer.status, "200 OK")
        self.assertEqual(dict(answer.headers)["Content-Type"], "text/event-stream")
        reader = EventReader()
        [opening] = reader.feed(answer.body)
        self.assertEqual((opening.id, reader.retry), ("7", "3000"))
        self.assertEqual(self.feeds.feed.since, 5)
        self.assertNothingLeft()


class ResumingTests(Case):
    def since(self, target: str, header: str | bytes) -> int | None:
        text = header.decode("latin-1") if isinstance(header, bytes) else header
        Stream(self.world).ask(target, {"Last-Event-ID": text})
        return self.feeds.feed.since

    def test_last_event_id(self) -> None:
        self.assertEqual(self.since("/v1/numbers", "5"), 5)

    def test_a_parameter_wins(self) -> None:
        self.assertEqual(self.since("/v1/numbers?since=3", "5"), 3)

    def test_malformed_ones_are_ignored(self) -> None:
        for header in ("", "x", "-1", "5, 5", "5.0", "\u0665".encode(), b"\xff", str(2**53), "9" * 5000):
            self.assertIsNone(self.since("/v1/numbers", header), header)

    def test_repeated_ones_are_ignored(self) -> None:
        raw = head("GET", "/v1/numbers", {"Last-Event-ID": "5"}).replace(
            b"\r\n\r\n", b"\r\nLast-Event-ID: 6\r\n\r\n"
        )
        self.stream.wire.send(raw)
        self.assertIsNone(self.feeds.feed.since)

    def test_commands_without_since(self) -> None:
        self.assertIsNone(self.since("/v1/plain", "5"))

    def test_answers_that_are_no_streams(self) -> None:
        answer = self.stream.wire.ask("GET", "/v1/list", {"Last-Event-ID": "5"})
        self.assertIsNone(answer.json["since"])


class PushTests(Case):
    def test_pushes(self) -> None:
        self.stream.ask()
        self.feeds.step()
        self.assertEqual(self.stream.events(), [Event("v1/numbers", "8", '{"from":7,"to":8,"filler":""}')])
        self.feeds.wake()
        self.assertEqual(self.stream.events(), [])

    def test_made_once_for_all(self) -> None:
        streams = [Stream(self.world) for _ in range(3)]
        for stream in streams:
            stream.ask()
        self.feeds.last = part = CountedPart(b'"a":1', 9)
        self.feeds.wake()
        for stream in streams:
            self.assertEqual(stream.events(), [Event("v1/numbers", "9", '{"a":1}')])
        self.assertEqual(part.made, 1)

    def test_the_last_part_ends_the_response(self) -> None:
        self.stream.ask()
        self.feeds.last = Part(b'"closed":true,"code":"session_not_found"', 9, closes=True)
        self.feeds.wake()
        [push] = self.stream.events()
        self.assertTrue(json.loads(push.data)["closed"])
        self.assertTrue(self.stream.ended)
        self.assertNothingLeft()
        # the connection can be used again, and is watched again
        self.assertEqual(self.stream.wire.ask("GET", "/v1/list").status, 200)
        self.reactor.advance(60)
        self.assertTrue(self.stream.wire.transport.disconnecting)

    def test_client_gone(self) -> None:
        self.stream.ask()
        self.stream.wire.lose()
        self.assertNothingLeft()
        self.feeds.step()
        self.assertEqual(self.stream.wire.received(), b"")

    def test_transport_gone_first(self) -> None:
        self.stream.ask()
        self.stream.wire.transport.producer.stopProducing()
        self.assertFalse(self.feeds.feed.watching)
        self.stream.wire.lose()
        self.assertNothingLeft()

    def test_a_feed_that_fails(self) -> None:
        self.stream.ask()
        self.feeds.error = ZeroDivisionError()
        self.feeds.wake()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.stream.events()
        self.assertTrue(self.stream.ended)
        self.assertNothingLeft()

    def test_http_1_0(self) -> None:
        self.stream.wire.send(b"GET /v1/numbers HTTP/1.0\r\nHost: localhost\r\n\r\n")
        raw = self.stream.wire.received()
        self.assertNotIn(b"chunked", raw)
        self.assertEqual(len(EventReader().feed(raw.partition(b"\r\n\r\n")[2])), 1)
        self.feeds.last = Part(b'"closed":true', 9, closes=True)
        self.feeds.wake()
        self.assertTrue(self.stream.wire.transport.disconnecting)


class BackPressureTests(Case):
    def test_paused_clients_get_one_merged_push(self) -> None:
        self.stream.ask()
        self.stream.pause()
        for _ in range(1000):
            self.feeds.step()
        self.assertEqual(self.stream.events(), [])
        self.assertEqual(self.feeds.feed.taken, 0)
        self.stream.resume()
        [push] = self.stream.events()
        self.assertEqual(json.loads(push.data), {"from": 7, "to": 1007, "filler": ""})
        self.assertEqual(self.feeds.feed.taken, 1)

    def test_nothing_new_when_resumed(self) -> None:
        self.stream.ask()
        self.stream.pause()
        self.stream.resume()
        self.assertEqual((self.stream.events(), self.feeds.feed.taken), ([], 0))

    def test_large_events_go_in_slices(self) -> None:
        self.feeds.opening = b'"rows":"%s"' % (b"x" * 3 * events.SLICE)
        transport = self.stream.wire.transport
        transport.most = events.SLICE
        seen = self.stream.ask()
        rounds = 0
        while not seen:
            rounds += 1
            self.feeds.step()
            transport.drain()
            seen = self.stream.events()
        self.assertEqual(rounds, 3)
        self.assertEqual(len(json.loads(seen[0].data)["rows"]), 3 * events.SLICE)
        self.assertLess(transport.peak, events.SLICE + 1024)
        # what was missed meanwhile followed in one push
        self.assertEqual([json.loads(push.data)["to"] for push in seen[1:]], [10])

    def test_many_small_pushes_stop_too(self) -> None:
        transport = self.stream.wire.transport
        transport.most = events.SLICE
        self.feeds.filler = b"x" * 1000
        self.stream.ask()
        for _ in range(1000):
            self.feeds.step()
        self.assertLess(transport.peak, events.SLICE + 2000)
        cursor = self.feeds.feed.cursor
        self.stream.events()
        transport.drain()
        [push] = self.stream.events()
        self.assertEqual((json.loads(push.data)["from"], json.loads(push.data)["to"]), (cursor, 1007))

    def test_an_earlier_answer_still_waits(self) -> None:
        # the connection asked for a pause before there was a stream to tell
        self.stream.pause()
        self.assertEqual(self.stream.ask(), [])
        self.stream.resume()
        self.assertEqual(len(self.stream.events()), 1)

    def test_ended_while_paused(self) -> None:
        self.stream.ask()
        self.stream.pause()
        self.world.door.drain()
        self.assertNothingLeft()


class TimeTests(Case):
    def test_keep_alive(self) -> None:
        self.stream.ask()
        self.reactor.advance(14.9)
        self.stream.events()
        self.assertEqual(self.stream.reader.comments, [])
        self.reactor.advance(0.1)
        self.assertEqual(self.stream.events(), [])
        self.assertEqual(self.stream.reader.comments, ["keep-alive"])
        self.assertTrue(self.stream.raw.endswith(b"\n: keep-alive\n\n"))

    def test_only_after_silence(self) -> None:
        self.stream.ask()
        for _ in range(10):
            self.reactor.advance(10)
            self.feeds.step()
        self.stream.events()
        self.assertEqual(self.stream.reader.comments, [])
        self.reactor.advance(14)
        self.reactor.advance(1)
        self.stream.events()
        self.assertEqual(self.stream.reader.comments, ["keep-alive"])

    def test_outlives_the_idle_timeout(self) -> None:
        self.stream.ask()
        for _ in range(400):
            self.reactor.advance(15)
        self.assertFalse(self.stream.wire.transport.disconnecting)
        self.stream.events()
        self.assertEqual(len(self.stream.reader.comments), 400)

    def test_no_keep_alive_to_who_does_not_read(self) -> None:
        self.stream.ask()
        self.stream.pause()
        for _ in range(19):
            self.reactor.advance(15)
        self.assertEqual(self.stream.wire.received(), b"")
        self.stream.resume()
        self.reactor.advance(15)
        self.stream.events()
        self.assertEqual(self.stream.reader.comments, ["keep-alive"])

    def test_stuck_connections_are_ended(self) -> None:
        self.stream.ask()
        transport: Any = self.stream.wire.transport
        # what a TCP transport would hold, when it asks for a pause
        transport.dataBuffer = b"x" * 70_000
        self.stream.pause()
        self.reactor.advance(1)
        self.reactor.advance(STALL - 1)
        self.assertFalse(transport.disconnected)
        self.reactor.advance(1)
        self.assertTrue(transport.disconnected)
        self.stream.wire.lose()
        self.assertNothingLeft()

    def test_reading_again_starts_the_wait_anew(self) -> None:
        self.stream.ask()
        transport: Any = self.stream.wire.transport
        for waiting in range(70_000, 0, -10_000):
            transport.dataBuffer = b"x" * waiting
            self.stream.pause()
            self.reactor.advance(STALL - 1)
            self.stream.resume()
        self.assertFalse(transport.disconnected)


class LimitTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.patch(events, "MOST_STREAMS", 3)

    def test_too_many(self) -> None:
        streams = [Stream(self.world) for _ in range(3)]
        for stream in streams:
            stream.ask()
        wire = Wire(self.world.site)
        answer = wire.ask("GET", "/v1/numbers")
        self.assertEqual((answer.status, answer.json["code"]), (429, "too_many"))
        self.assertEqual((self.feeds.feed.watching, self.feeds.feed.stopped), (False, 1))
        self.assertEqual(wire.ask("GET", "/v1/list").status, 200)
        streams[0].wire.lose()
        self.assertEqual(len(self.stream.ask()), 1)

    def test_what_was_refused_or_ended_does_not_count(self) -> None:
        for _ in range(5):
            self.stream.wire.ask("GET", "/v1/numbers?topic=gone")
            self.stream.wire.send(head("HEAD", "/v1/numbers"))
            self.stream.wire.received()
            other = Stream(self.world)
            other.ask()
            other.wire.lose()
        self.assertEqual(len(self.stream.ask()), 1)


class DrainTests(Case):
    def test_all_streams_end_at_once(self) -> None:
        streams = [Stream(self.world) for _ in range(3)]
        for stream in streams:
            stream.ask()
        self.stream.wire.send(head("POST", "/v1/numbers"))
        self.stream.wire.received()
        drained = self.world.door.drained()
        self.assertNoResult(drained)
        self.world.door.drain()
        self.successResultOf(drained)
        for stream in streams:
            self.assertEqual(stream.events(), [])
            self.assertTrue(stream.ended)
        self.assertEqual(self.stream.wire.received(), b"0\r\n\r\n")
        self.assertNothingLeft()

    def test_none_begins_any_more(self) -> None:
        self.world.door.drain()
        answer = self.stream.wire.ask("GET", "/v1/numbers")
        self.assertEqual((answer.status, answer.json["code"]), (503, "stopping"))
