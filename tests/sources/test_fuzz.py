"""Whatever stands in a file: the loader never raises, and what it says always has a place."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from progflags.sources import Loader, Piece
from support.documents import documents

WHOLE = {name: text.encode() for name, text in documents().items()}
FORMS = ["toml", "json", "yaml", "", "env"]


class Fixed:
    """A source of one piece."""

    name = "flags"

    def __init__(self, form, text):
        self.piece = Piece("flags", form, text)

    def read(self):
        return (self.piece,)


def check(form, text):
    loaded = Loader(Fixed(form, text)).load()
    assert (loaded.snapshot is None) == loaded.stale
    for problem in (*loaded.problems, *(loaded.snapshot.rejected if loaded.snapshot else ())):
        assert problem.file in {"flags", "<environment>"}
        assert problem.message
        assert problem.line is None or problem.line >= 1
    if loaded.stale:
        assert loaded.problems


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FORMS), st.binary(max_size=200))
def test_any_bytes(form, text):
    """Of every form."""
    check(form, text)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FORMS), st.text(alphabet="[]{}=:,.\n\"'#-&*!|>%@ab10 \t\\", max_size=60))
def test_any_punctuation(form, text):
    """Where parsers break."""
    check(form, text.encode())


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_valid_files_with_a_few_bytes_changed(data):
    """Deleted, doubled, replaced, swapped."""
    name = data.draw(st.sampled_from(sorted(WHOLE)))
    text = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(text) - 1)))
        length = data.draw(st.integers(0, 12))
        part = bytes(text[at : at + length])
        text[at : at + length] = data.draw(st.sampled_from([b"", part * 2, part[::-1], data.draw(st.binary(max_size=4))]))
    check(name.rpartition(".")[2], bytes(text))


VALUES = [None, "", [], {}, 0, -1, True, 10**400, float("nan"), float("inf"), 1e999, "\ud800", [[]], {"": None}, "x" * 10_000]


def paths(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from paths(part, (*path, key))
    elif isinstance(value, list):
        for at, part in enumerate(value):
            yield from paths(part, (*path, at))


def replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_no_value_in_any_place_escapes(name):
    """Every node of twenty files replaced by each of fifteen values that should not be there."""
    from progflags.sources._decode import decode_piece

    document, _ = decode_piece(Piece("flags", name.rpartition(".")[2], WHOLE[name]))
    for path in paths(document):
        for value in VALUES:
            torn = replaced(document, path, value)
            loaded = Loader(Data(torn)).load()
            assert (loaded.snapshot is None) == loaded.stale


class Data(Fixed):
    """A dict."""

    def __init__(self, document):
        self.piece = Piece("flags", "data", b"", document)
