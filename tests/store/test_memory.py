"""What the memory store promises beyond the contract: names are shared inside the process."""

from progflags.store import Commit, MemoryStore, open_store
from progflags.testing import ManualClock


def test_without_a_name_a_memory_store_is_nobody_elses():
    """`store=None` twice is two stores."""
    mine, yours = open_store(None), open_store(None)
    mine.commit(Commit({"a": {}}))

    assert yours.revision() == 0


def test_a_named_store_outlives_its_handles():
    """As a file would: closed and opened again, its documents are there."""
    open_store("memory://lasting").commit(Commit({"a": {"n": 1}}))
    open_store("memory://lasting").close()

    assert open_store("memory://lasting").read()[1]["a"].body == {"n": 1}


def test_a_rows_age_follows_the_clock_it_was_given():
    """Ten minutes by the clock are ten minutes of age."""
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    store.board.publish("topic", "w", 1, b"")
    clock.advance("10m")
    clock.step_wall(-86_400)

    assert store.board.collect("topic")[0].age == 600.0


def test_a_store_is_passed_through():
    """`store=` takes what the application has opened itself."""
    store = MemoryStore()
    assert open_store(store) is store
