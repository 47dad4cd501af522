"""The sandbox's JSON is json's own, without what json does anew for each text."""

import json
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "runtimes" / "python"))
import hearth_function as function  # noqa: E402

EVENTS = (
    b'{"name": "Ada"}', b' [1, 2.5e3, -0.0, "\\u00fc\xc3\xbc \\" \\n"] \n', b'"text"', b"1",
    b"null", b"true", b"123456789012345678901234567890", b'{"twice": 1, "twice": {"in": [[]]}}')


class Number(int):
    pass


class Share(float):
    pass


def circles():
    inside = []
    inside.append(inside)
    member = {}
    member["of"] = [member]
    return inside, member


ANSWERS = (
    None, True, 1, -0.0, 1.5, 1e300, 2**200, "x", "ü\u2028\"\\\n\x01", [], {}, (1, (2,)), Number(4),
    Share(2.5), {"a": [1, {"b": None}]}, {1: 2, None: 3, True: 4, 1.5: 2}, float("nan"),
    {"in": float("inf")}, object(), {(1, 2): 3}, {"a": {"b": set()}}, *circles())


def outcome(write, value):
    try:
        return write(value)
    except BaseException as problem:  # pylint: disable=broad-exception-caught
        return type(problem), str(problem)


class JsonTest(unittest.TestCase):
    def test_an_event_is_read_as_json_reads_it(self):
        for text in EVENTS:
            self.assertEqual(repr(function._loads(text)), repr(json.loads(text)), text)

    def test_an_answer_is_written_as_json_writes_it_or_refused_with_the_same_words(self):
        plain = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
        for value in ANSWERS:
            self.assertEqual(outcome(function._dumps, value), outcome(plain, value))

    def test_an_answer_that_was_refused_leaves_nothing_behind(self):
        value = {"in": [object()]}
        self.assertIs(outcome(function._dumps, value)[0], TypeError)
        value["in"] = []
        self.assertEqual(function._dumps(value), '{"in":[]}')

    def test_without_an_encoder_in_c_the_answer_is_the_same(self):
        kept = json.encoder.c_make_encoder
        json.encoder.c_make_encoder = None
        try:
            dumps = function._make_dumps()
            self.assertEqual(dumps({"a": [1, "ü"]}), '{"a":[1,"ü"]}')
        finally:
            json.encoder.c_make_encoder = kept


if __name__ == "__main__":
    unittest.main()
