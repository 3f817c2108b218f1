"""Each kind of parameter: what it takes from text and JSON, and what it says of all else."""

import base64
from typing import Annotated, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.commands.parameters import (
    File,
    Flag,
    Kind,
    PortRange,
    Text,
    Upload,
    Words,
    choice,
    integer,
    parse_text,
)
from resttorrent.errors import BadParameter, TooLarge

Json = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(alphabet=st.characters(), max_size=20)
)
Anything = st.recursive(
    Json | st.builds(Upload, st.binary(max_size=5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=6,
)
OTHER_SCRIPTS = ("\u0661", "\uff11", "\u00b2", "\u0967", "\U0001d7d9", "\u2460")


def numbered(*values: object) -> list[tuple[int, object]]:
    return list(enumerate(values))


class Case(SynchronousTestCase):
    def read(self, annotation: object, raw: object) -> Any:
        return Kind.of(annotation).read("p", raw)

    def refusal(self, annotation: object, raw: object) -> str:
        error = self.assertRaises(BadParameter, self.read, annotation, raw)
        self.assertEqual(error.field, "p")
        self.assertTrue(error.message.startswith("p: expected "), error.message)
        return str(error.message)

    def assert_refused(self, annotation: object, *raw: object) -> None:
        for value in raw:
            self.refusal(annotation, value)


class KindTests(Case):
    def test_found_in_annotations(self) -> None:
        kind = integer(1, 2)
        number = Annotated[int, kind]
        self.assertIs(Kind.of(number), kind)
        self.assertIs(Kind.of(number | None), kind)
        for annotation in (int, int | None, Annotated[int, "no kind"]):
            with self.assertRaises(TypeError):
                Kind.of(annotation)

    def test_other_errors_pass(self) -> None:
        def refuse(raw: object) -> int:
            raise TooLarge("too much")

        with self.assertRaises(TooLarge):
            Kind("x", refuse, {}).read("p", 1)

    def test_nesting_is_no_way_out(self) -> None:
        def descend(raw: object) -> int:
            return descend(raw)

        with self.assertRaises(BadParameter):
            Kind("x", descend, {}).read("p", 1)

    @given(Anything)
    @settings(deadline=None)
    def test_anything(self, raw: object) -> None:
        for annotation in (
            Text,
            Flag,
            File,
            PortRange,
            Annotated[int, integer(0, 9)],
            Annotated[str, choice("a")],
        ):
            try:
                self.read(annotation, raw)
            except BadParameter as error:
                self.assertEqual(error.field, "p")
        try:
            words = self.read(Words, numbered(raw))
        except BadParameter:
            return
        self.assertIsInstance(raw, str)
        self.assertEqual(words, tuple(dict.fromkeys(w.strip() for w in str(raw).split(","))))


class TextTests(Case):
    def test_taken(self) -> None:
        for text in ("", " ", "é", "\u202e", "e\u0301", "\U0001f4a9", "\n", "x" * 4096):
            self.assertEqual(self.read(Text, text), text)

    def test_refused(self) -> None:
        self.assert_refused(
            Text, None, 1, True, b"x", ["x"], {}, Upload(b"x"), "\ud800", "a\udfffb", "\ud83d"
        )
        self.assertEqual(self.refusal(Text, "\0"), "p: expected text without NUL")
        self.assertEqual(self.refusal(Text, "x" * 4097), "p: expected at most 4096 characters")

    @given(st.text(alphabet=st.characters(), max_size=50))
    @settings(deadline=None)
    def test_what_is_taken_can_be_encoded(self, text: str) -> None:
        try:
            self.assertEqual(parse_text(text), text)
        except ValueError:
            self.assertTrue("\0" in text or any("\ud800" <= c <= "\udfff" for c in text))
        else:
            self.assertNotIn(b"\0", text.encode())


class FlagTests(Case):
    def test_taken(self) -> None:
        for raw in (1, True, "1", "true", "True", "TRUE"):
            self.assertIs(self.read(Flag, raw), True)
        for raw in (0, False, "0", "false", "False"):
            self.assertIs(self.read(Flag, raw), False)

    def test_refused(self) -> None:
        self.assert_refused(
            Flag, None, 2, -1, 1.0, "", " 1", "01", "yes", "no", "on", "ﬁ", [1], {}, Upload(b"1")
        )
        self.assert_refused(Flag, *OTHER_SCRIPTS)
        self.assertEqual(self.refusal(Flag, "yes"), "p: expected 1, 0, true or false")


class IntegerTests(Case):
    annotation = Annotated[int, integer(-5, 10**12)]

    def test_taken(self) -> None:
        for raw, number in ((7, 7), ("7", 7), ("-5", -5), ("007", 7), ("1000000000000", 10**12)):
            self.assertEqual(self.read(self.annotation, raw), number)

    def test_refused(self) -> None:
        self.assert_refused(
            self.annotation, None, True, 1.0, -6, 10**12 + 1, 10**400, "-6", "", "-", " 1", "1 ", "1\n", "+1",
            "1_0", "0x1", "1e3", "9" * 5000, [1], {}, Upload(b"1"), "\ud800",
        )  # fmt: skip
        self.assert_refused(self.annotation, *OTHER_SCRIPTS)
        self.assertIn("from -5 to 1000000000000", self.refusal(self.annotation, "x"))

    @given(st.integers())
    @settings(deadline=None)
    def test_bounds(self, number: int) -> None:
        for raw in (number, str(number)):
            if -5 <= number <= 10**12:
                self.assertEqual(self.read(self.annotation, raw), number)
            else:
                self.assert_refused(self.annotation, raw)


class ChoiceTests(Case):
    annotation = Annotated[str, choice("sparse", "allocate")]

    def test_taken(self) -> None:
        self.assertEqual(self.read(self.annotation, "sparse"), "sparse")

    def test_refused(self) -> None:
        self.assert_refused(
            self.annotation, None, 1, "", "Sparse", " sparse", "sparse\0", ["sparse"], {}, Upload(b"sparse")
        )
        self.assertEqual(self.refusal(self.annotation, ""), "p: expected sparse or allocate")


class WordsTests(Case):
    def test_taken(self) -> None:
        for values, words in (
            (("a",), ("a",)),
            (("a,b",), ("a", "b")),
            ((" a , b ",), ("a", "b")),
            (("a", "b,c", "a"), ("a", "b", "c")),
            (("",), ("",)),
        ):
            self.assertEqual(self.read(Words, numbered(*values)), words)

    def test_refused(self) -> None:
        self.assert_refused(Words, [], numbered(["a"]), numbered({}), numbered(Upload(b"a")))
        for value in (None, 1, True, "a\0", "\ud800", "x" * 65, ",".join("abc" * 67)):
            self.assert_refused(Words, numbered(value))
        self.assert_refused(Words, numbered(*["a"] * 201))


class PortRangeTests(Case):
    def test_taken(self) -> None:
        for raw, ports in (
            ("6881,6891", (6881, 6891)),
            ([6881, 6891], (6881, 6891)),
            (["6881", "6891"], (6881, 6891)),
            ("6881", (6881, 6881)),
            ([6881], (6881, 6881)),
            (6881, (6881, 6881)),
            ("1,65535", (1, 65535)),
        ):
            self.assertEqual(self.read(PortRange, raw), ports)

    def test_refused(self) -> None:
        self.assert_refused(
            PortRange, None, True, [True], 0, -1, 65536, 1.0, [1.0], "", ",", "1,", ",1", "1,2,3", [],
            [1, 2, 3], [[1]], "2,1", [2, 1], "0,5", "5,65536", "1-2", "1, 2", "a,b", {}, "1\0", "\ud800",
            Upload(b"1"),
        )  # fmt: skip
        self.assert_refused(PortRange, *OTHER_SCRIPTS)


class FileTests(Case):
    @given(st.binary(max_size=50))
    @settings(deadline=None)
    def test_taken(self, data: bytes) -> None:
        self.assertEqual(self.read(File, Upload(data, "name")), data)
        self.assertEqual(self.read(File, data), data)
        self.assertEqual(self.read(File, {"base64": base64.b64encode(data).decode()}), data)

    def test_refused(self) -> None:
        self.assert_refused(
            File, None, 1, True, "", "ZGU=", [], ["ZGU="], {}, {"base64": None}, {"base64": ["ZGU="]},
            {"BASE64": "ZGU="}, {"base64": "ZGU=", "name": "x"},
        )  # fmt: skip
        for text in ("ZGU", "Z", "ZG U=", "ZGU=\n", "Z-_=", "é", "\ud800", "\0"):
            self.assertIn("valid base64", self.refusal(File, {"base64": text}))

    def test_upload_is_not_copied(self) -> None:
        data = bytes(3 * 2**20)
        self.assertIs(self.read(File, Upload(data)), data)
