"""Two responses: equal bytes need no decoding, and the shortcut never says more than the comparison would."""

import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progflags.darklaunch import Comparer, Outcome, ignore, tolerance
from progflags.darklaunch.compare._exchange import Answer, Reader
from progflags.darklaunch.record._observation import Observation

BODIES = st.sampled_from([b"", b"{}", b'{"a": 1}', b'{"a":1}', b'{"a": 1.0}', b"[NaN]", b"text", b"\xff", gzip.compress(b'{"a": 1}')])
HEADERS = st.lists(
    st.sampled_from(
        [
            ("content-type", "application/json"),
            ("content-type", "text/plain"),
            ("content-encoding", "gzip"),
            ("date", "today"),
            ("date", "tomorrow"),
            ("location", "/"),
        ]
    ),
    max_size=3,
).map(tuple)
ANSWERS = st.builds(Answer, st.sampled_from([200, 404]), HEADERS, BODIES)


def concluded(control, candidate, *, decoding, **options):
    reader = Reader()
    comparer = Comparer(read=reader if not decoding else Decoding(), **options)
    return comparer.conclude(Observation(control), Observation(candidate)).outcome


class Decoding(Reader):
    """One that always decodes."""

    def alike(self, control, candidate):
        return False


@given(ANSWERS, ANSWERS)
def test_equal_bytes_end_the_comparison_as_decoding_them_would(control, candidate):
    assert concluded(control, candidate, decoding=False) == concluded(control, candidate, decoding=True)


def test_responses_that_differ_only_in_what_is_not_compared_are_never_decoded(monkeypatch):
    monkeypatch.setattr("progflags.darklaunch.compare._exchange._body", lambda answer: 1 / 0)
    one, other = (Answer(200, (("content-type", "application/json"), ("date", day)), b"{}") for day in ("today", "tomorrow"))

    assert concluded(one, other, decoding=False) is Outcome.MATCH


def test_the_same_bytes_in_another_encoding_are_decoded():
    """The header is not compared, and says what the bytes mean."""
    body = gzip.compress(b"{}")
    one, other = Answer(200, (("content-encoding", "gzip"),), body), Answer(200, (), body)

    assert concluded(one, other, decoding=False) is concluded(one, other, decoding=True) is Outcome.MISMATCH


def test_a_function_of_the_users_gets_to_see_equal_responses_too():
    seen = []
    answer = Answer(200, (), b"x")

    concluded(answer, Answer(200, (), b"x"), decoding=False, compare=lambda a, b: seen.append((a, b)) or True)

    assert len(seen) == 1


def test_ignoring_all_of_it_still_matches_equal_responses():
    assert concluded(Answer(200, (), b"x"), Answer(200, (), b"x"), decoding=False, rules=(ignore("$"),)) is Outcome.MATCH


# Different is never called equal, and equal is not called different for how it was written down.

HTML, LATIN, PLAIN, JSON = "text/html", "text/html; charset=latin-1", "text/plain", "application/json"


def met(kind, control, candidate, encodings=("", ""), **options):
    """The outcome for two bodies of one content type."""
    sides = [
        Answer(200, (("content-type", kind), *((("content-encoding", encoding),) if encoding else ())), body)
        for body, encoding in zip((control, candidate), encodings, strict=True)
    ]
    return concluded(*sides, decoding=False, **options)


@pytest.mark.parametrize(
    ("kind", "control", "candidate"),
    [
        (PLAIN, b"10 \x80", b"10 \xa3"),  # cp1252's signs of euro and pound, and nobody says so
        ("text/plain; charset=cp1252", b"10 \x80", b"10 \xa3"),
        ("text/plain; charset=utf-8", b"10 \x80", b"10 \xa3"),
        ("text/plain; charset=no-such", b"10 \x80", b"10 \xa3"),
        ("text/plain; charset=rot13", b"a", b"b"),  # a codec, and none of text
        (LATIN, "café".encode("latin-1"), "cafè".encode("latin-1")),
        (HTML, "café".encode("latin-1"), "cafè".encode("latin-1")),
        ("application/xml", b"<a>\xe9</a>", b"<a>\xe8</a>"),
        ("application/json; charset=latin-1", b'"\xe9"', b'"\xe8"'),
        (JSON, b'"\xe9"', b'"\xe8"'),
        (JSON, b"", b"null"),
        (JSON, b"", b'""'),
        (JSON, b"abc", b'"abc"'),  # the one is no JSON
        (JSON, b"\xef\xbb\xbf{}", b"{}"),
        (JSON, b"0.1", b"0.10000000000000000555"),
        (JSON, b"12345678901234567890.1", b"12345678901234567890.2"),
        (JSON, b"1e400", b"2e400"),
        (JSON, b"1e400", b"Infinity"),
        (JSON, b"9007199254740993", b"9007199254740992"),
        (JSON, b"1e99999999999999999999", b"1e99999999999999999998"),
        (JSON, b'{"a": 1, "a": 2}', b'{"a": 2}'),
        (JSON, b'{"a": 1, "a": 2}', b'{"a": 2, "a": 1}'),
        (JSON, b'{"a": 1, "a": 2}', b'{"a": [1, 2]}'),
        ("application/x-ndjson", b'{"a": 1}\n{"a": 2}\n', b'{"a": 1}\n{"a": 3}\n'),
        ("application/octet-stream", b"\xff", b"\xfe"),
        ("", b"a", b"b"),
    ],
)
def test_bodies_that_differ_are_never_called_equal(kind, control, candidate):
    assert met(kind, control, candidate) is met(kind, candidate, control) is Outcome.MISMATCH
    assert met(kind, control, control) is Outcome.MATCH


@pytest.mark.parametrize(
    ("kind", "control", "candidate"),
    [
        (JSON, b'{"a": 1.50, "b": "\\u00e9"}', '{"b": "é", "a": 1.5}'.encode()),
        (JSON, b"1e2", b"100.0"),
        (JSON, b"0.10", b"0.1"),
        (JSON, b'{"a": 1, "a": 2}', b'{"a": 1,"a": 2}'),
        ("application/problem+json", b"[ ]", b"[]"),
    ],
)
def test_one_document_written_in_two_ways_is_equal(kind, control, candidate):
    assert met(kind, control, candidate) is Outcome.MATCH


@pytest.mark.parametrize(
    ("control", "candidate"),
    [
        (gzip.compress(b"a") + gzip.compress(b"b"), gzip.compress(b"a") + gzip.compress(b"c")),  # a file may have several members
        (gzip.compress(b"a") + gzip.compress(b"b"), gzip.compress(b"a")),
        (gzip.compress(b"a") + b"rest", gzip.compress(b"a")),
        (gzip.compress(b"a" * 99)[:-9], gzip.compress(b"a" * 99)),
    ],
    ids=["another member", "a member less", "something behind it", "cut"],  # the bytes hold the time of day
)
def test_every_member_of_a_compressed_body_counts(control, candidate):
    assert met(PLAIN, control, candidate, ("gzip", "gzip")) is Outcome.MISMATCH


def test_compression_is_no_difference_and_a_wrong_label_is_one():
    """What a client can't decode is not what it was sent plainly, though the bytes are the same."""
    assert met(PLAIN, gzip.compress(b"a") + gzip.compress(b"b"), b"ab", ("gzip", "")) is Outcome.MATCH
    assert met(PLAIN, zlib.compress(b"ab"), b"ab", ("deflate", "")) is Outcome.MATCH
    assert met("image/png", b"raw", b"raw", ("br", "")) is Outcome.MISMATCH
    assert met(PLAIN, gzip.compress(b""), b"", ("gzip", "")) is Outcome.MATCH


def test_digits_beyond_a_float_may_differ_within_a_tolerance():
    control, candidate = b'{"total": 0.1}', b'{"total": 0.10000000000000000555}'

    assert met(JSON, control, candidate, rules=(tolerance("$.body.total", abs=0.01),)) is Outcome.MATCH


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=8))
def test_a_json_document_reads_back_as_the_values_it_was_written_from(value):
    assert Reader()(Answer(200, (("content-type", JSON),), json.dumps(value).encode()))["body"] == value
