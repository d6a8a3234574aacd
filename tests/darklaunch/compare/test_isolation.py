"""What a shadow touches is its own; what has no honest copy is left out and counted."""

import dataclasses
import io
import threading
import types
from collections import Counter, OrderedDict, defaultdict, deque

import attrs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from progflags.darklaunch import dark_launch, diff
from progflags.darklaunch.compare._copier import NODES, NotIsolated
from progflags.darklaunch.compare._imprint import Imprint, value_of
from progflags.darklaunch.compare._isolate import Isolator


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    items: list


@dataclasses.dataclass
class Warm:
    items: list


@attrs.frozen
class Attrs:
    items: list


class Model(pydantic.BaseModel):
    items: list
    _private: list = pydantic.PrivateAttr(default_factory=lambda: [1])


class Plain:
    def __init__(self):
        self.items = [1, [2]]


class Slotted(Plain):
    __slots__ = ("__hidden", "more")

    def __init__(self):
        super().__init__()
        self.more = {"a": [1]}
        self.__hidden = [3]

    def __eq__(self, other):
        return (self.items, self.more, self.__hidden) == (other.items, other.more, other.__hidden)

    __hash__ = None


CONTAINERS = [
    {"a": [1, {"b": (1, [2])}]},
    [{1, 2}, frozenset({3}), bytearray(b"x")],
    OrderedDict(a=[1]),
    defaultdict(list, a=[1]),
    Counter("aab"),
    deque([[1]], maxlen=3),
    types.SimpleNamespace(items=[1]),
    Frozen([1]),
    Warm([1]),
    Attrs([1]),
    Model(items=[1]),
    Slotted(),
]


@pytest.mark.parametrize("value", CONTAINERS, ids=lambda value: type(value).__name__)
def test_a_copy_is_equal_of_the_same_class_and_shares_nothing_that_can_change(value):
    copy = Isolator().copy(value)

    assert type(copy) is type(value)
    assert copy == value
    assert not _mutable(copy) & _mutable(value)


def _mutable(value, seen=None):
    """The ids of everything editable reachable from a value."""
    import gc

    seen = {} if seen is None else seen
    editable = (dict, list, set, bytearray, deque, Plain, types.SimpleNamespace, pydantic.BaseModel, Warm)
    if isinstance(value, editable):
        seen[id(value)] = value
    for inner in gc.get_referents(value):
        if isinstance(inner, (*editable, tuple, frozenset, Frozen, Attrs)) and id(inner) not in seen:
            _mutable(inner, seen)
    return set(seen)


def test_immutable_values_go_as_they_are():
    for value in (1, "x", b"x", None, (1, ("a", 2)), len, Plain, types, 1.5, frozenset({1})):
        assert Isolator().copy(value) == value
    nested = (1, ("a", 2))
    assert Isolator().copy(nested) is nested


def test_aliases_and_cycles_stay_what_they_were():
    inner = [1]
    cycle = {"a": inner, "b": inner}
    cycle["self"] = cycle
    copy = Isolator().copy(cycle)

    assert copy["a"] is copy["b"]
    assert copy["a"] is not inner
    assert copy["self"] is copy


@pytest.mark.parametrize(
    "value",
    [threading.Lock(), io.BytesIO(), iter([]), (i for i in ()), types.SimpleNamespace(lock=threading.Lock()), threading.Event()],
    ids=["lock", "stream", "iterator", "generator", "nested", "event"],
)
def test_what_has_no_honest_copy_is_refused(value):
    with pytest.raises(NotIsolated):
        Isolator().copy(value)


def test_a_class_with_state_of_its_own_is_refused_and_can_be_shared_by_name():
    class Session:
        def __reduce__(self):
            return Session, ()

    with pytest.raises(NotIsolated):
        Isolator().copy([Session()])
    session = Session()
    assert Isolator(share=[Session]).copy([session])[0] is session


def test_the_cost_is_bounded():
    for value in (list(range(NODES + 1)), ["x" * 1000] * 9000, [[]] * (NODES + 1)):
        with pytest.raises(NotIsolated):
            Isolator().copy(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.tuples(inner) | st.frozensets(inner, max_size=2),
    max_leaves=3,
)
BUILTINS = st.recursive(
    KEYS
    | st.binary(max_size=3).map(bytearray)
    | st.sets(KEYS, max_size=3)
    | st.complex_numbers(allow_nan=False)
    | st.decimals(allow_nan=False)
    | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def _spoil(value):
    """Edit everything that can be edited."""
    if isinstance(value, dict):
        for inner in list(value.values()):
            _spoil(inner)
        value.clear()
        value["spoilt"] = True
    elif isinstance(value, list):
        for inner in list(value):
            _spoil(inner)
        value.append("spoilt")
    elif isinstance(value, tuple):
        for inner in value:
            _spoil(inner)
    elif isinstance(value, set):
        value.add("spoilt")
    elif isinstance(value, bytearray):
        value += b"spoilt"


@given(JSON | BUILTINS, JSON | BUILTINS)
def test_no_edit_of_the_shadows_is_ever_visible_to_the_control(first, second):
    import copy

    before = copy.deepcopy((first, second))
    isolator = Isolator()
    given, _ = isolator.given((first,), {"second": second})
    for last in (False, True):
        args, kwargs = isolator.fresh(given, last=last)
        assert _told((args, kwargs)) == _told(((before[0],), {"second": before[1]}))
        _spoil(args[0])
        _spoil(kwargs["second"])

    assert _told((first, second)) == _told(before)


def _told(value):
    """A value with the classes in it, whatever the order of its sets."""
    if isinstance(value, (set, frozenset)):
        return f"{type(value)}{sorted(map(_told, value))}"
    if isinstance(value, dict):
        return f"{{{[(_told(key), _told(each)) for key, each in value.items()]}}}"
    return f"{type(value)}{[_told(each) for each in value]}" if isinstance(value, (list, tuple)) else repr(value)


@given(JSON | BUILTINS)
def test_what_is_kept_is_the_value_as_it_was(value):
    import copy

    before = copy.deepcopy(value)
    kept, _ = Isolator().kept(value)
    _spoil(value)

    assert diff(kept, before).same
    assert diff(before, kept).same
    assert _told(value_of(kept)) == _told(before)


def test_arguments_that_are_one_list_stay_one_list_in_every_copy():
    shared = [1]
    shared.append(shared)
    isolator = Isolator()
    given, _ = isolator.given((shared, {"again": shared}), {})
    (first, second), _ = isolator.fresh(given, last=True)

    assert isinstance(given, Imprint)
    assert first is second["again"] is first[1] is not shared
    assert isolator.fresh(given, last=True)[0][0] is not first


def test_a_large_document_is_kept_and_one_that_is_too_large_is_refused():
    document = {"items": [{"sku": f"sku-{n}", "price": n / 7, "tags": ["a", "b"]} for n in range(2_000)]}
    kept, size = Isolator().kept(document)
    with pytest.raises(NotIsolated):
        Isolator().kept([document] * 100)

    assert isinstance(kept, Imprint)
    assert size == kept.size > 50_000


def test_a_large_text_deep_inside_is_not_written_out_again_and_again(monkeypatch):
    tried = []
    take = Imprint.of.__func__
    monkeypatch.setattr(Imprint, "of", classmethod(lambda cls, value, *args, **more: (tried.append(1), take(cls, value, *args, **more))[1]))
    isolator = Isolator()
    deep = {"file": {"parts": [{"name": "a", "content": "é" * (1 << 20)}]}}
    for _ in range(1000):
        assert isolator.kept(deep)[0]["file"] == deep["file"]
        given, _ = isolator.given((deep,), {})
        assert given[0][0]["file"]["parts"][0]["content"] is deep["file"]["parts"][0]["content"]
    attempts = len(tried)
    for _ in range(1100):
        kept, _ = isolator.kept({"small": [1]})

    assert attempts < 30
    assert isinstance(kept, Imprint)


def test_what_a_user_shares_is_never_printed():
    for share in ([dict], [object]):
        value = {"a": [1]}
        isolator = Isolator(share=share)
        given, _ = isolator.given((value,), {})
        assert isolator.kept(value)[0] is value
        assert isolator.fresh(given, last=True)[0][0] is value


def test_uncopyable_arguments_and_results_are_counted_drops(flags, engine):
    @dark_launch("on", candidate=lambda lock: 1, flags=flags)
    def takes(lock):
        return 1

    @dark_launch("on", candidate=lambda: iter([1]), flags=flags)
    def gives():
        return iter([1])

    assert takes(threading.Lock()) == 1
    assert list(gives()) == [1]

    assert takes.dark_launch.stats().shed == {"isolation": 1}
    assert takes.dark_launch.stats().not_isolated == {"_thread.lock": 1}
    assert gives.dark_launch.stats().shed == {"result_isolation": 1}


def test_reduce_names_the_comparable_part_of_a_result(flags, engine):
    class Page:
        def __init__(self, items):
            self.items = items
            self.lock = threading.Lock()

    @dark_launch("on", candidate=lambda: Page([1, 3]), flags=flags, reduce=lambda page: page.items)
    def page():
        return Page([1, 2])

    assert isinstance(page(), Page)
    assert page.dark_launch.drain()
    assert page.dark_launch.stats().mismatches == {"$[*]": 1}


@pytest.mark.parametrize("hook", ["compare", "ignore_if"])
def test_who_compares_by_himself_gets_both_values(flags, engine, hook):
    seen = []

    def compared(control, candidate):
        seen.append((control, candidate))
        return False

    @dark_launch("on", candidate=lambda: {"total": 2}, flags=flags, **{hook: compared})
    def price():
        return {"total": 1}

    price()
    assert price.dark_launch.drain()
    assert seen == [({"total": 1}, {"total": 2})]
    assert price.dark_launch.stats().outcomes["mismatch"] == 1


def test_a_sample_shows_what_the_control_answered(flags, engine):
    told = []

    @dark_launch("on", candidate=lambda: {"total": 2}, flags=flags, reveal=["$.total"], record=told.append)
    def price():
        return {"total": 1}

    price()
    assert price.dark_launch.drain()
    (difference,) = told[0]["differences"]
    assert (difference["path"], difference["kind"]) == ("$.total", "value")
    assert "1" in str(difference["control"])
    assert "2" in str(difference["candidate"])
