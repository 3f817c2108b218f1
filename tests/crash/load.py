"""
Load: clients that add, stop, start, remove and download at random, and write down what they asked and heard.

Each client has a thread, a connection and torrents of its own, so that it always knows what it asked last.
One more thread looks which torrents are complete.
"""

import base64
import http.client
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libtorrent as lt

from tests.crash.journal import Journal, Key, Ports, TorrentState
from tests.crash.swarm import Payload, Swarm
from tests.crash.weather import Weather
from tests.harness import Client, Response, tiny_torrent

CLIENTS = 4
TINY = 40
"""Torrents that nobody seeds, for each client."""
ANCHORS = 1
"""So many of the swarm's torrents are left alone, so that something complete is always there."""
LONG_AFTER = 10.0
"""Seconds after which whatever was asked is done, if ever."""
FOLDERS = ("", "a", "b/c", "d é")
DISK_FULL = "the state's disk is full"
_LAST_PORT = 40000
_DISCONNECTED = (OSError, http.client.HTTPException)


@dataclass(frozen=True, slots=True)
class Source:
    """Something that can be added; ``payload`` where the swarm has it."""

    infohash: str
    file: bytes | None
    magnet: str | None
    payload: Payload | None = None

    def parameters(self, rng: random.Random) -> dict[str, Any]:
        """As a file or as a magnet link, where it can be both."""
        if self.file is None or (self.magnet is not None and rng.random() < 0.5):
            return {"magnet": self.magnet}
        return {"file": {"base64": base64.b64encode(self.file).decode()}}


def tiny_sources(numbers: range) -> list[Source]:
    """Torrents that nobody seeds, every third one as a magnet link."""
    sources = []
    for number in numbers:
        infohash = str(lt.load_torrent_buffer(tiny_torrent(number)).info_hashes.v1)
        if number % 3:
            sources.append(Source(infohash, tiny_torrent(number), None))
        else:
            sources.append(Source(infohash, None, f"magnet:?xt=urn:btih:{infohash}&dn=tiny%20{number}"))
    return sources


@dataclass(frozen=True, slots=True)
class Target:
    """
    What the load is put on.

    :ivar sessions: ids of sessions that stay; all clients use them.
    :ivar root: the daemon's save root, resolved.
    :ivar weather: in it, ``DISK_FULL`` is a trouble in which changes are refused.
    :ivar client: makes a client for a port.
    """

    port: int
    sessions: Sequence[str]
    root: Path
    swarm: Swarm
    journal: Journal
    weather: Weather
    client: Callable[[int], Client] = Client


@dataclass(frozen=True, slots=True)
class Force:
    """
    How much load.

    :ivar clients: who add; :ivar pace: seconds that each of them thinks between two deeds, on average.
    :ivar founders: so many of them create and delete sessions.
    :ivar tiny: torrents that nobody seeds, for each of them.
    """

    clients: int = CLIENTS
    pace: float = 0.0
    founders: int = CLIENTS
    tiny: int = TINY


FORCE = Force()


class Unexpected(Exception):
    """An answer that the contract does not have."""


class DiskFull(Unexpected):
    """The change was refused for want of room."""


def expect(response: Response, expected: int, code: str | None = None) -> None:
    """
    :raises ConnectionAbortedError: the daemon is being stopped in order.
    :raises DiskFull: 507.
    :raises Unexpected: anything else.
    """
    if response.status == expected:
        return
    code = code or response.json["code"]
    if code == "stopping":
        raise ConnectionAbortedError("the daemon is stopping")
    raise (DiskFull if code == "state_disk_full" else Unexpected)(
        f"{response.status} {response.body[:300]!r}"
    )


class Load:
    """
    The clients' threads.

    :ivar surprises: what should not have happened, as sentences.
    """

    def __init__(self, target: Target, rng: random.Random, force: Force = FORCE) -> None:
        self._ending = threading.Event()
        self._over = threading.Event()
        self._weather = target.weather
        self._pace = force.pace
        self.surprises: list[str] = []
        clients = [
            Adder(target, number, random.Random(rng.random()), force) for number in range(force.clients)
        ]
        works = (*(client.act for client in clients), Watcher(target).look)
        self._turns = [threading.Lock() for _ in works]
        self._threads = [
            threading.Thread(target=self._run, args=(work, turn, random.Random(rng.random())))
            for work, turn in zip(works, self._turns, strict=True)
        ]

    def _run(self, work: Callable[[], None], turn: threading.Lock, thinking: random.Random) -> None:
        try:
            while not self._over.is_set():
                with turn:
                    self._do(work)
                if self._pace:
                    self._ending.wait(thinking.expovariate(1 / self._pace))
        except _DISCONNECTED as error:
            if not self._ending.is_set():
                self.surprises.append(f"a connection was lost: {error!r}")
        except Exception as error:
            self.surprises.append(f"{type(error).__name__}: {error}")

    def _do(self, work: Callable[[], None]) -> None:
        began = time.monotonic()
        try:
            work()
        except DiskFull:
            if not self._weather.had(DISK_FULL, began):
                raise

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody does anything for as long as the context lasts; for clients that think now and then."""
        with ExitStack() as stack:
            for turn in self._turns:
                stack.enter_context(turn)
            yield

    def end(self) -> None:
        """Connections may break from now on, and each thread ends with its own."""
        self._ending.set()

    def join(self) -> None:
        """Wait until all have ended; the daemon has."""
        # who finds nothing to do does not hear of it
        self._over.set()
        for thread in self._threads:
            thread.join()


class Watcher:
    """Notes which torrents are complete."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._client = target.client(target.port)

    def look(self) -> None:
        journal = self._target.journal
        for session in self._target.sessions:
            versions = journal.versions()
            path = f"/v1/sessions/{session}/torrents"
            listed = self._client.call("GET", path, fields="infohash,complete")
            expect(listed, 200)
            complete = [(session, row["infohash"]) for row in listed.json["torrents"] if row["complete"]]
            journal.saw_complete(complete, versions)
        threading.Event().wait(0.05)


class Adder:
    """
    One client; ``act`` does one random thing.

    :param number: tells its torrents and its ports from those of the others.
    """

    def __init__(self, target: Target, number: int, rng: random.Random, force: Force) -> None:
        self._target = target
        self._journal = target.journal
        self._rng = rng
        self._client = target.client(target.port)
        self._clients = force.clients
        self._ports = random.Random(f"{rng.random()}").randrange(20000, 30000, self._clients) + number
        sources = tiny_sources(range(number * force.tiny, (number + 1) * force.tiny))
        sources += [
            Source(p.infohash, p.torrent, p.magnet, p)
            for p in target.swarm.payloads[ANCHORS:][number :: force.clients]
        ]
        self._sources = {source.infohash: source for source in sources}
        self._keys = [(session, infohash) for session in target.sessions for infohash in self._sources]
        others = sorted(set(target.journal.settled_sessions()) - set(target.sessions))
        self._own = others[number :: force.founders] if number < force.founders else []
        self._passing = 0
        self._hung_up: dict[Key, float] = {}
        self._deeds: dict[Callable[[], None], int] = {
            self.add: 20,
            self.add_payload: 10,
            self.add_batch: 4,
            self.stop_or_start: 25,
            self.remove: 16,
            self.connect: 12,
            self.hang_up: 3,
            self.find_out: 6,
            self.recall: 8,
        }
        if number < force.founders:
            self._deeds |= {self.create_session: 3, self.delete_session: 3}

    def act(self) -> None:
        (deed,) = self._rng.choices(list(self._deeds), list(self._deeds.values()))
        deed()

    # -- which torrents --------------------------------------------------

    def _pick(self, *, present: bool, payload: bool | None = None) -> Key | None:
        keys = [
            key
            for key in self._journal.free(self._keys)
            if (self._journal.settled(key) is not None) == present
            and (payload is None or (self._sources[key[1]].payload is not None) == payload)
        ]
        return self._rng.choice(keys) if keys else None

    def _state(self, session: str, *, payload: bool) -> tuple[TorrentState, dict[str, Any]]:
        """A state for a torrent to be added, and the parameters that ask for it."""
        rng = self._rng
        relative = f"{session[:8]}/{rng.choice(FOLDERS)}".rstrip("/")
        state = TorrentState(
            save_path=str(self._target.root / relative),
            storage_mode=rng.choice(["sparse", "sparse", "allocate"]),
            stopped=rng.random() < (0.1 if payload else 0.5),
            lasting=rng.random() < 0.9,
        )
        return state, {
            "save_path": rng.choice([relative, state.save_path]),
            "storage_mode": state.storage_mode,
            "autostart": int(not state.stopped),
            "memory_only": int(not state.lasting),
        }

    # -- deeds -----------------------------------------------------------

    def add(self) -> None:
        key = self._pick(present=False, payload=False)
        if key is not None:
            self._add(key)

    def add_payload(self) -> None:
        key = self._pick(present=False, payload=True)
        if key is not None and self._add(key):
            self._connect(key)

    def _add(self, key: Key, *, may_be_gone: bool = False) -> bool:
        session, infohash = key
        source = self._sources[infohash]
        state, parameters = self._state(session, payload=source.payload is not None)
        self._journal.ask({key: state})
        self._journal.disown(self._files(key, state))
        path = f"/v1/sessions/{session}/torrents"
        response = self._client.call("POST", path, **parameters, **source.parameters(self._rng))
        if response.status == 201:
            assert response.json["torrent"]["infohash"] == infohash
            self._journal.answered(key, state)
            return True
        self._journal.refused(key)
        if not may_be_gone or response.json["code"] not in ("session_not_found", "stopping"):
            expect(response, 201)
        return False

    def add_batch(self) -> None:
        session = self._rng.choice(self._target.sessions)
        keys = [
            key
            for key in self._journal.free(self._keys)
            if key[0] == session
            and self._journal.settled(key) is None
            and self._sources[key[1]].payload is None
        ]
        chosen = self._rng.sample(keys, min(len(keys), self._rng.randint(1, 15)))
        if not chosen:
            return
        states = {key: self._state(session, payload=False) for key in chosen}
        self._journal.ask({key: state for key, (state, _) in states.items()})
        items = [{**states[key][1], **self._sources[key[1]].parameters(self._rng)} for key in chosen]
        response = self._client.call("POST", f"/v1/sessions/{session}/torrents/batch", torrents=items)
        if response.status != 200:
            for key in chosen:
                self._journal.refused(key)
            expect(response, 200)
            return
        for key, result in zip(chosen, response.json["results"], strict=True):
            if result["http_status"] == 201:
                self._journal.answered(key, states[key][0])
            else:
                self._journal.refused(key)
        for result in response.json["results"]:
            if result["http_status"] != 201:
                expect(Response(result["http_status"], {}, str(result).encode()), 201, result["code"])

    def stop_or_start(self) -> None:
        key = self._pick(present=True)
        if key is None:
            return
        before = self._journal.settled(key)
        assert before is not None
        stopped = self._rng.random() < (0.25 if self._sources[key[1]].payload else 0.5)
        after = TorrentState(before.save_path, before.storage_mode, stopped, before.lasting)
        self._journal.ask({key: after})
        response = self._client.call("PUT", self._path(key), pause=int(stopped))
        if response.status == 200:
            self._journal.answered(key, after)
        else:
            self._journal.refused(key)
            expect(response, 200)

    def remove(self) -> None:
        key = self._pick(present=True, payload=self._rng.random() < 0.2)
        if key is None:
            return
        before = self._journal.settled(key)
        assert before is not None
        files = self._files(key, before)
        if self._rng.random() < 0.5:
            # a magnet link that has not got its metadata does not know its files
            shown = self._client.call("GET", self._path(key), fields="has_metadata")
            expect(shown, 200)
            self._journal.ask_files(key, files if shown.json["torrent"]["has_metadata"] else {})
            self._journal.ask({key: None})
            response = self._client.call("DELETE", self._path(key), delete_files=1)
            stays = {}
        else:
            stays = files if self._journal.is_complete(key) else {}
            self._journal.ask({key: None})
            response = self._client.call("DELETE", self._path(key))
        if response.status == 200:
            self._journal.answered(key, None)
            self._journal.keep(stays)
        else:
            self._journal.refused(key)
            expect(response, 200)

    def connect(self) -> None:
        """Give a torrent that lost its peer, by a stop or a restart, the swarm again."""
        key = self._pick(present=True, payload=True)
        if key is not None:
            self._connect(key)

    def _connect(self, key: Key) -> None:
        response = self._client.call("POST", self._path(key) + "/peers", address=self._target.swarm.address)
        expect(response, 200)

    def recall(self) -> None:
        """What was answered is what is shown."""
        keys = self._journal.free(self._keys)
        if not keys:
            return
        key = self._rng.choice(keys)
        settled = self._journal.settled(key)
        shown = self._client.call("GET", self._path(key), fields="state,error,save_path,memory_only")
        if settled is None:
            expect(shown, 404)
            return
        expect(shown, 200)
        row = shown.json["torrent"]
        as_answered = row["save_path"] == settled.save_path and row["memory_only"] != settled.lasting
        # whether one that failed is stopped can't be seen
        if not as_answered or (row["error"] is None and (row["state"] == "stopped") != settled.stopped):
            raise Unexpected(f"{key} is shown as {row}, and was answered to be {settled}")

    def hang_up(self) -> None:
        """Ask, and leave before the answer: nobody knows what became of it, but it is one or the other."""
        add = self._rng.random() < 0.5
        key = self._pick(present=not add)
        if key is None:
            return
        session, infohash = key
        rude = self._target.client(self._target.port)
        if add:
            state, parameters = self._state(session, payload=False)
            parameters |= self._sources[infohash].parameters(self._rng)
            self._journal.ask({key: state})
            self._journal.disown(self._files(key, state))
            rude.send("POST", f"/v1/sessions/{session}/torrents", **parameters)
        else:
            self._journal.ask({key: None})
            rude.send("DELETE", self._path(key))
        rude.close()
        self._hung_up[key] = time.monotonic()

    def find_out(self) -> None:
        """What became of a torrent whose answer was not waited for; long after, so that it stays so."""
        for key, since in self._hung_up.items():
            if time.monotonic() - since > LONG_AFTER:
                shown = self._client.call("GET", self._path(key), fields="infohash")
                if shown.status != 404:
                    expect(shown, 200)
                del self._hung_up[key]
                self._journal.found_out(key, present=shown.status == 200)
                return

    def create_session(self) -> None:
        lasting = self._rng.random() < 0.7
        if (len(self._own) if lasting else self._passing) >= 2:
            return
        self._ports += self._clients
        ports: Ports = (self._ports, _LAST_PORT)
        self._journal.ask_session(ports)
        response = self._client.call(
            "POST", "/v1/sessions", port_range=list(ports), memory_only=int(not lasting)
        )
        expect(response, 201)
        session = response.json["session"]["id"]
        self._journal.created(ports, session, lasting=lasting)
        if not lasting:
            self._passing += 1
        else:
            self._own.append(session)
            for infohash in self._rng.sample(list(self._sources), 3):
                if self._sources[infohash].payload is None:
                    self._add((session, infohash))

    def delete_session(self) -> None:
        """Delete one, while another connection adds to it."""
        sessions = [s for s in self._journal.settled_sessions() if s in self._own]
        if not sessions:
            return
        session = self._rng.choice(sessions)
        self._own.remove(session)
        self._journal.ask_deletion(session)
        other = self._target.client(self._target.port)
        other.send("DELETE", f"/v1/sessions/{session}")
        for infohash in self._rng.sample(list(self._sources), 3):
            key = (session, infohash)
            if self._journal.settled(key) is None and self._sources[infohash].payload is None:
                self._add(key, may_be_gone=True)
        expect(other.receive(), 200)
        other.close()
        self._journal.deleted_session(session)

    # -- helpers ---------------------------------------------------------

    @staticmethod
    def _path(key: Key) -> str:
        return f"/v1/sessions/{key[0]}/torrents/{key[1]}"

    def _files(self, key: Key, state: TorrentState) -> dict[Path, bytes]:
        """The torrent's files, if it has any, with their digests."""
        payload = self._sources[key[1]].payload
        return payload.files_in(state.save_path) if payload else {}
