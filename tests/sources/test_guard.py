"""Documents that are valid and still not what anybody meant; tombstones; per-flag last known good."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from progflags.sources import DictSource, Loader


def loader_of(document):
    loader = Loader(DictSource(document))
    loader.first()
    return loader


def flags(*keys, **more):
    return {"flags": {key: {} for key in keys}, **more}


@given(st.sets(st.sampled_from("abcdefgh"), min_size=1), st.sets(st.sampled_from("abcdefgh")), st.sets(st.sampled_from("abcdefgh")))
def test_a_set_loses_at_most_half_unless_retired(before, after, retired):
    """For every set before and after, whatever is named."""
    document = flags(*before)
    loader = loader_of(document)
    document.update(flags(*after, retired=sorted(retired)))

    lost = before - after - retired
    assert loader.load().stale == (len(lost) * 2 > len(before))


@pytest.mark.parametrize("nothing", [{"flags": {}}, {"flags": None}, {}, {"flags": []}, {"schema": 1}])
def test_an_emptied_document_never_empties_the_set(nothing):
    """The classic."""
    document = flags("a", "b")
    loader = loader_of(document)
    document.clear()
    document.update(nothing)
    loaded = loader.load()

    assert loaded.stale
    assert loaded.snapshot is None
    assert loaded.problems


def test_a_rejected_flag_is_not_a_missing_one():
    """Three typos in four flags: DEGRADED, not held back; each keeps its own last good definition."""
    document = {"flags": {key: {"percent": 10} for key in "abcd"}}
    loader = loader_of(document)
    document["flags"] = {"a": {"percent": 20}, "b": {"percnt": 20}, "c": {"percnt": 20}, "d": {"percnt": 20}}
    loaded = loader.load()

    assert not loaded.stale
    assert [flag.rules[-1].share for flag in loaded.snapshot.flags.values()] == [200_000, 100_000, 100_000, 100_000]
    assert len(loaded.snapshot.rejected) == 3


def test_a_typo_in_one_flag_never_blocks_anothers_change():
    """The kill switch in the same save."""
    document = {"flags": {"kill": {"default": "on"}, "other": {"percent": 10}}}
    loader = loader_of(document)
    document["flags"] = {"kill": {"default": "off"}, "other": {"percent": "ten"}}

    assert loader.load().snapshot.flags["kill"].default == "off"


def test_after_a_hold_the_next_good_document_serves():
    """And is compared with what serves, not with what was held back."""
    document = flags("a", "b", "c")
    loader = loader_of(document)
    document.update(flags("a"))
    assert loader.load().stale
    document.update(flags("a", "b"))
    assert set(loader.load().snapshot.flags) == {"a", "b"}


def test_a_retired_key_does_not_come_back_with_another_type():
    """While the tombstone stands; with its old type it may."""
    document = flags("a", "b", "c")
    loader = loader_of(document)
    document.update(flags("a", "b", retired=["c"]))
    loader.load()
    document.update(flags("a", "b"), retired=["c"])
    document["flags"]["c"] = {"variants": {"x": "1", "y": "2"}, "default": "x"}
    loaded = loader.load()

    assert "c" not in loaded.snapshot.flags
    assert "retired as a boolean flag" in str(loaded.snapshot.rejected[0])
    document["flags"]["c"] = {}
    assert "c" in loader.load().snapshot.flags
