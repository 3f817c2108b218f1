"""One definition of a command, and what becomes of what a client sent."""

from collections.abc import Sequence
from typing import Annotated

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.commands.answers import Answer
from resttorrent.commands.parameters import (
    File,
    Flag,
    Kind,
    Numbered,
    PortRange,
    Text,
    Upload,
    Words,
    integer,
)
from resttorrent.commands.registry import Registry, command
from resttorrent.errors import BadParameter, NotFound, ParameterConflict, UnknownParameter

from . import everything

Size = Annotated[int, integer(0, 100)]
Many = Annotated[Sequence[Numbered], Kind("anything", lambda raw: raw, {}, repeats=True)]


class Made(Answer, kw_only=True):
    arguments: object


@command(
    "POST",
    "/v1/{shelf}/things",
    scope="control",
    status=201,
    aliases=("build",),
    parameter_aliases={"ports": ("port_range", "range")},
)
async def make(
    ctx: object,
    shelf: Text,
    size: Size,
    ports: PortRange = (1, 2),
    checked: Flag = False,
    words: Words = (),
    file: File | None = None,
    magnet: Text | None = None,
) -> Made:
    """Make a thing."""
    return Made(arguments=(ctx, shelf, size))


@command("GET", "/v1/things", scope="read")
async def look(ctx: object) -> Answer:
    return Answer()


@command(None, None, scope="read")
async def end(ctx: object, shelf: Text) -> Answer:
    """End what only lives on a connection."""
    return Answer()


@command("POST", "/v1/lots", scope="control")
async def lots(ctx: object, magnet: Many = (), file: Many = ()) -> Answer:
    return Answer()


NEEDED: list[tuple[str, object]] = [("shelf", "s"), ("size", "3")]


class DefinitionTests(SynchronousTestCase):
    def test_what_the_function_says(self) -> None:
        self.assertEqual((make.name, make.summary, make.status), ("make", "Make a thing.", 201))
        self.assertEqual((look.status, look.summary), (200, ""))
        found = {p.name: (p.in_path, p.required, p.aliases) for p in make.parameters}
        self.assertEqual(found["shelf"], (True, True, ()))
        self.assertEqual(found["size"], (False, True, ()))
        self.assertEqual(found["ports"], (False, False, ("port_range", "range")))

    def test_parameters_need_a_kind(self) -> None:
        async def wrong(ctx: object, size: int) -> Answer:
            return Answer()

        with self.assertRaises(TypeError):
            command("GET", "/x", scope="read")(wrong)

    def test_without_a_route(self) -> None:
        self.assertEqual((end.method, end.route, end.is_safe), (None, None, True))
        (shelf,) = end.parameters
        self.assertEqual((shelf.in_path, shelf.required), (False, True))

    def test_every_command_served(self) -> None:
        commands = list(everything.registry())
        self.assertGreater(len(commands), 10)
        self.assertEqual(len({c.name for c in commands}), len(commands))
        self.assertEqual(len({(c.method, c.route) for c in commands}), len(commands))
        for one in commands:
            self.assertIn(one.scope, ("public", "read", "control", "admin"))
            self.assertTrue(one.summary, one.name)
            for parameter in one.parameters:
                self.assertEqual(parameter.in_path, f"{{{parameter.name}}}" in (one.route or ""))
                self.assertTrue(parameter.kind.expected, parameter.name)

    def test_former_names_of_the_contract(self) -> None:
        registry = everything.registry()
        self.assertIs(registry.named("upload_torrent"), registry.named("add_torrent"))
        bound = registry.named("create_session").bind([("ports", [5])])
        self.assertEqual(bound["port_range"], (5, 5))


class NamedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.registry = Registry([make, look])

    def test_found(self) -> None:
        self.assertIs(self.registry.named("make"), make)
        self.assertIs(self.registry.named("build"), make)
        self.assertEqual(list(self.registry), [make, look])

    def test_nearest_name(self) -> None:
        error = self.assertRaises(NotFound, self.registry.named, "mke")
        self.assertEqual((error.field, error.message), ("command", "unknown command: did you mean make?"))
        error = self.assertRaises(NotFound, self.registry.named, "\ud800" * 100_000)
        self.assertEqual(error.message, "unknown command")


class BindTests(SynchronousTestCase):
    def bind(self, *pairs: tuple[str, object]) -> dict[str, object]:
        return make.bind([*NEEDED, *pairs])

    def test_defaults(self) -> None:
        bound = self.bind()
        self.assertEqual(
            bound,
            {
                "shelf": "s", "size": 3, "ports": (1, 2), "checked": False, "words": (), "file": None,
                "magnet": None,
            },
        )  # fmt: skip

    def test_missing(self) -> None:
        error = self.assertRaises(BadParameter, make.bind, [("shelf", "s")])
        self.assertEqual(error.field, "size")
        self.assertEqual(error.message, "size is missing: expected a whole number from 0 to 100")

    def test_null_is_a_value(self) -> None:
        for name in ("checked", "file", "magnet", "words", "ports"):
            self.assertEqual(self.assertRaises(BadParameter, self.bind, (name, None)).field, name)

    def test_alias_counts_as_the_name(self) -> None:
        for name in ("ports", "port_range", "range"):
            self.assertEqual(self.bind((name, "5,6"))["ports"], (5, 6))
            error = self.assertRaises(BadParameter, self.bind, (name, "6,5"))
            self.assertEqual(error.field, "ports")
        self.assertEqual(self.bind(("range", "5,6"), ("ports", "5,6"))["ports"], (5, 6))
        error = self.assertRaises(ParameterConflict, self.bind, ("range", "5,6"), ("ports", "5,7"))
        self.assertEqual(error.field, "ports")

    def test_conflicts(self) -> None:
        for name, value in (("shelf", "t"), ("size", "4"), ("size", 4)):
            error = self.assertRaises(ParameterConflict, self.bind, (name, value))
            self.assertEqual(error.field, name)
        error = self.assertRaises(ParameterConflict, self.bind, ("checked", "1"), ("checked", "0"))
        self.assertEqual(error.field, "checked")

    def test_same_value_twice(self) -> None:
        self.assertEqual(self.bind(("shelf", "s"), ("size", "3"))["size"], 3)

    def test_same_value_in_other_words(self) -> None:
        # as text in the query, as JSON in the body
        self.assertEqual(self.bind(("size", 3))["size"], 3)
        self.assertEqual(self.bind(("checked", "1"), ("checked", True))["checked"], True)
        self.assertEqual(self.bind(("ports", "5,6"), ("ports", [5, 6]))["ports"], (5, 6))
        uploads = ("file", Upload(b"x", "a")), ("file", Upload(b"x", "b")), ("file", {"base64": "eA=="})
        self.assertEqual(self.bind(*uploads)["file"], b"x")
        self.assertRaises(BadParameter, self.bind, ("size", "three"))

    def test_lists_may_repeat(self) -> None:
        for pairs in (
            [("words", "a"), ("words", "b")],
            [("words", "a,b"), ("words", "b")],
            [("words", ["a", "b"])],
            [("words", "a"), ("words", ["b"])],
        ):
            self.assertEqual(self.bind(*pairs)["words"], ("a", "b"))
        self.assertEqual(self.assertRaises(BadParameter, self.bind, ("words", [])).field, "words")

    def test_repeated_values_keep_their_place(self) -> None:
        bound = lots.bind([("magnet", "m"), ("file", "f"), ("magnet", ["n", "o"])])
        self.assertEqual(bound, {"magnet": [(0, "m"), (2, "n"), (2, "o")], "file": [(1, "f")]})

    def test_unknown(self) -> None:
        for name, hint in (
            ("sise", "did you mean size?"),
            ("port-range", "did you mean port_range?"),
            ("zzz", "make takes shelf, size, ports, checked, words, file, magnet"),
            ("", "make takes shelf, size, ports, checked, words, file, magnet"),
        ):
            error = self.assertRaises(UnknownParameter, self.bind, (name, "1"))
            self.assertEqual(error.message, f"unknown parameter {name!r}: {hint}")
            self.assertEqual(error.field, name)
        error = self.assertRaises(UnknownParameter, look.bind, [("x", "1")])
        self.assertIn("look takes no parameters", error.message)

    def test_unknown_and_odd(self) -> None:
        for name in ("\ud800", "\0", "n" * 1_000_000, "ctx", "__class__"):
            error = self.assertRaises(UnknownParameter, self.bind, (name, "1"))
            self.assertLess(len(error.message), 300)
            self.assertEqual((error.field or "")[:64], name[:64])

    def test_magnet_that_came_apart(self) -> None:
        magnet = ("magnet", "magnet:?xt=urn:btih:00")
        for name in ("dn", "tr", "tr.1", "xl", "ws", "x.pe", "xt.2", "so", "DN"):
            for taker in (make, lots):
                pairs = [*NEEDED, magnet] if taker is make else [magnet]
                error = self.assertRaises(UnknownParameter, taker.bind, [*pairs, (name, "1")])
                self.assertEqual(error.field, "magnet")
                self.assertIn("--data-urlencode", error.message)
        error = self.assertRaises(UnknownParameter, self.bind, ("dn", "1"))
        self.assertNotIn("--data-urlencode", error.message)

    def test_run(self) -> None:
        answer = self.successResultOf(Deferred.fromCoroutine(make.run("context", NEEDED)))
        self.assertEqual(answer.arguments, ("context", "s", 3))
        self.failureResultOf(Deferred.fromCoroutine(make.run("context", [])), BadParameter)
