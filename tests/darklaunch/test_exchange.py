"""Two responses: equal bytes need no decoding, and the shortcut never says more than the comparison would."""

import gzip

from hypothesis import given
from hypothesis import strategies as st

from progflags.darklaunch import Comparer, Outcome, ignore
from progflags.darklaunch._exchange import Answer, Reader
from progflags.darklaunch._observation import Observation

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
    monkeypatch.setattr("progflags.darklaunch._exchange._body", lambda answer: 1 / 0)
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
