"""Bytes of bodies and queries become pairs, or an error in the one shape."""

import base64
import json
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.commands.parameters import Upload
from resttorrent.errors import BadParameter, CommandError, TooLarge, UnsupportedMediaType
from resttorrent.rest import bodies, multipart_form, urlencoded

FORM = b"application/x-www-form-urlencoded"
JSON = b"application/json"
MULTIPART = b"multipart/form-data; boundary=B"

Pairs = list[tuple[str, object]]


def pairs(content_type: bytes | None, body: bytes, encoding: bytes | None = None) -> Pairs:
    return list(bodies.pairs_of(content_type, encoding, body))


def part(disposition: str, data: bytes, more: str = "") -> bytes:
    return f"--B\r\nContent-Disposition: form-data{disposition}\r\n{more}\r\n".encode() + data + b"\r\n"


class ChoosingTests(SynchronousTestCase):
    def test_json(self) -> None:
        body = b'{"a":1,"b":["x",null,true],"c":{"base64":""}}'
        expected: Pairs = [("a", 1), ("b", ["x", None, True]), ("c", {"base64": ""})]
        self.assertEqual(pairs(JSON, body), expected)
        self.assertEqual(pairs(b"Application/JSON; charset=utf-8", body), expected)

    def test_no_type_is_json(self) -> None:
        self.assertEqual(pairs(None, b'{"a":"b"}'), [("a", "b")])
        self.assertEqual(pairs(b"", b'{"a":"b"}'), [("a", "b")])

    def test_json_called_a_form(self) -> None:
        self.assertEqual(pairs(FORM, b' \r\n\t{"a":2}'), [("a", 2)])

    def test_form(self) -> None:
        self.assertEqual(
            pairs(FORM, b"a=1&b=x+y%26%C3%A9&&c&=d&a=2"),
            [("a", "1"), ("b", "x y&é"), ("c", ""), ("", "d"), ("a", "2")],
        )

    def test_form_with_charset(self) -> None:
        self.assertEqual(pairs(FORM + b"; charset=UTF-8", b"a=1"), [("a", "1")])

    def test_other_types(self) -> None:
        for other in (b"text/plain", b"application/xml", b"application/x-bittorrent", b"nonsense"):
            self.assertRaises(UnsupportedMediaType, pairs, other, b"a=1")

    def test_content_encoding(self) -> None:
        self.assertRaises(UnsupportedMediaType, pairs, JSON, b"{}", b"gzip")
        self.assertEqual(pairs(JSON, b"{}", b"Identity"), [])


class JsonTests(SynchronousTestCase):
    def test_twin_keys(self) -> None:
        self.assertEqual(pairs(JSON, b'{"a":1,"a":2}'), [("a", 2)])

    def test_not_an_object(self) -> None:
        for body in (b"[]", b'"x"', b"1", b"null", b"true"):
            self.assertRaises(BadParameter, pairs, JSON, body)

    def test_malformed(self) -> None:
        for body in (
            b"{",
            b'{"a":NaN}',
            b"{'a':1}",
            b'{"a":1}x',
            b'{"a":"\xff"}',
            b'{"\xff":1}',
            b"\0",
            b" ",
        ):
            self.assertRaises(BadParameter, pairs, JSON, body)

    def test_deep(self) -> None:
        self.assertRaises(BadParameter, pairs, JSON, b'{"a":' + b"[" * 200_000)
        self.assertRaises(BadParameter, pairs, JSON, b'{"a":' * 200_000)

    def test_too_many_values(self) -> None:
        most = bodies.MOST_JSON_VALUES
        self.assertRaises(TooLarge, pairs, JSON, b'{"a":[' + b"1," * most + b"1]}")
        self.assertRaises(TooLarge, pairs, JSON, b'{"a":[' + b"[]," * most + b"1]}")
        [(_, values)] = pairs(JSON, b'{"a":[' + b"1," * (most - 2) + b"1]}")
        assert isinstance(values, list)
        self.assertEqual(len(values), most - 1)

    def test_large_file(self) -> None:
        data = base64.b64encode(bytes(3_000_000)).decode()
        self.assertEqual(
            pairs(JSON, json.dumps({"file": {"base64": data}}).encode()), [("file", {"base64": data})]
        )


class FormTests(SynchronousTestCase):
    def test_bad_value_names_its_parameter(self) -> None:
        for value in (b"%", b"%4", b"%zz", b"%FF", b"\xff", b"%C3", b"%ED%A0%80"):
            error = self.assertRaises(BadParameter, pairs, FORM, b"ok=1&b%61d=" + value)
            self.assertEqual(error.field, "bad", value)

    def test_bad_name(self) -> None:
        for name in (b"%", b"%FF", b"\xff"):
            error = self.assertRaises(BadParameter, pairs, FORM, name + b"=1")
            self.assertIsNone(error.field)

    def test_long_name_is_cut(self) -> None:
        error = self.assertRaises(BadParameter, pairs, FORM, b"n" * 5000 + b"=%")
        self.assertLess(len(error.message), 200)

    def test_pairs_before_the_fault(self) -> None:
        seen = []
        with self.assertRaises(BadParameter):
            for pair in bodies.pairs_of(FORM, None, b"t_id=5&a=%"):
                seen.append(pair)
        self.assertEqual(seen, [("t_id", "5")])

    def test_most_fields(self) -> None:
        most = urlencoded.MOST_FIELDS
        self.assertEqual(len(pairs(FORM, b"&".join([b"a=1"] * most))), most)
        self.assertRaises(TooLarge, pairs, FORM, b"&".join([b"a=1"] * (most + 1)))

    def test_longest(self) -> None:
        most = urlencoded.LONGEST
        self.assertEqual(pairs(FORM, b"a=".ljust(most, b"x")), [("a", "x" * (most - 2))])
        self.assertRaises(TooLarge, pairs, FORM, b"a=".ljust(most + 1, b"x"))

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.text(min_size=1), st.text())))
    def test_round_trip(self, sent: list[tuple[str, str]]) -> None:
        legal = [(n, v) for n, v in sent if _encodable(n + v)]
        self.assertEqual(list(urlencoded.pairs_of(urlencode(legal).encode())), legal)


class MultipartTests(SynchronousTestCase):
    def test_text_and_file(self) -> None:
        data = bytes(range(256)) * 3 + b"\r\n--"
        body = (
            part('; name="save_path"', "dé".encode())
            + part('; name="file"; filename="x.torrent"', data, "Content-Type: application/x-bittorrent\r\n")
            + b"--B--\r\n"
        )
        self.assertEqual(pairs(MULTIPART, body), [("save_path", "dé"), ("file", Upload(data, "x.torrent"))])

    def test_quoted_boundary(self) -> None:
        self.assertEqual(
            pairs(b'Multipart/Form-Data; boundary="B"', part('; name="a"', b"1") + b"--B--"), [("a", "1")]
        )

    def test_repeated_and_empty(self) -> None:
        body = part('; name="file"; filename=""', b"") + part('; name="a"', b"")
        body += part('; name="a"', b"x")
        self.assertEqual(
            pairs(MULTIPART, body + b"--B--"), [("file", Upload(b"", "")), ("a", ""), ("a", "x")]
        )

    def test_extended_filename_alone(self) -> None:
        body = part("; name=\"file\"; filename*=UTF-8''%C3%A9.torrent", b"\xff") + b"--B--"
        self.assertEqual(pairs(MULTIPART, body), [("file", Upload(b"\xff"))])

    def test_no_parts(self) -> None:
        self.assertEqual(pairs(MULTIPART, b"--B--\r\n"), [])

    def test_text_that_is_not_utf8(self) -> None:
        error = self.assertRaises(BadParameter, pairs, MULTIPART, part('; name="a"', b"\xff") + b"--B--")
        self.assertEqual(error.field, "a")

    def test_malformed(self) -> None:
        whole = part('; name="a"', b"1") + b"--B--"
        for body in (
            whole[:-2],
            whole[:-12],
            b"x" + whole,
            part("", b"1") + b"--B--",
            part('; name=""', b"1") + b"--B--",
            b"--B\r\nContent-Type: text/plain\r\n\r\n1\r\n--B--",
            b'--B\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n1\r\n--B--',
            b"nothing of the kind",
        ):
            self.assertRaises(BadParameter, pairs, MULTIPART, body)

    def test_boundary(self) -> None:
        for content_type in (
            b"multipart/form-data",
            b"multipart/form-data; boundary=",
            b'multipart/form-data; boundary=""',
            b"multipart/form-data; boundary=" + b"B" * 71,
        ):
            self.assertRaises(BadParameter, pairs, content_type, part('; name="a"', b"1") + b"--B--")

    def test_large_headers(self) -> None:
        self.assertRaises(TooLarge, pairs, MULTIPART, part('; name="' + "a" * 5000 + '"', b"1") + b"--B--")
        self.assertRaises(TooLarge, pairs, MULTIPART, part('; name="a"', b"1", "X-Y: z\r\n" * 9) + b"--B--")

    def test_most_parts(self) -> None:
        one = part('; name="a"', b"1")
        most = multipart_form.MOST_PARTS
        self.assertEqual(len(pairs(MULTIPART, one * most + b"--B--")), most)
        self.assertRaises(TooLarge, pairs, MULTIPART, one * (most + 1) + b"--B--")

    def test_a_million_parts_are_refused_before_parsing(self) -> None:
        parse = self.patch(multipart_form, "PushMultipartParser", None)  # would be called, and fail
        self.assertRaises(TooLarge, pairs, MULTIPART, b"--B\r\n\r\n" + b"\r\n--B\r\n\r\n" * 1_000_000)
        parse.restore()


def _encodable(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)


TYPES = st.one_of(
    st.sampled_from([None, b"", FORM, JSON, MULTIPART]),
    st.binary(max_size=40),
    st.binary(max_size=20).map(lambda b: b"multipart/form-data; boundary=" + b),
)
PIECES = [
    b"--B", b"\r\n", b"--", b"Content-Disposition: form-data", b'; name="a"', b'; filename="f"', b"{", b"}",
    b'"a":', b"[", b"]", b"\xff", b"%", b"&", b"=", b"\\ud800", b"1", b'"', b"Content-Length: 1",
    b"Content-Type: x; charset=y", b":", b" ",
]  # fmt: skip
BODIES = st.one_of(
    st.binary(min_size=1, max_size=300),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=40).map(b"".join),
)


class AnythingTests(SynchronousTestCase):
    @settings(deadline=None)
    @given(TYPES, st.one_of(st.none(), st.binary(max_size=10)), BODIES)
    def test_pairs_or_command_error(self, kind: bytes | None, coding: bytes | None, body: bytes) -> None:
        try:
            found = pairs(kind, body, coding)
        except CommandError as error:
            self.assertIn(error.http_status, (400, 413, 415))
            error.message.encode()
            return
        for name, value in found:
            self.assertIsInstance(name, str)
            name.encode()  # no lone surrogates
            self.assertIsInstance(value, (str, int, float, list, dict, Upload, type(None)))

    @settings(deadline=None)
    @given(st.binary(max_size=200))
    def test_query(self, query: bytes) -> None:
        try:
            found = list(urlencoded.pairs_of(query))
        except CommandError as error:
            self.assertEqual(error.http_status, 400)
            return
        for name, value in found:
            (name + value).encode()
