"""The OpenFeature provider against the specification's requirements, through OpenFeature's own API."""

import threading

import pytest

pytest.importorskip("openfeature")

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent
from openfeature.exception import ErrorCode, ProviderNotReadyError
from openfeature.flag_evaluation import FlagEvaluationOptions, Reason
from openfeature.hook import Hook
from openfeature.provider import ProviderStatus
from openfeature.track import TrackingEventDetails

import progflags as pf
from progflags._clock import SYSTEM
from progflags.contrib.openfeature import ProgflagsProvider
from progflags.events import Bus, Tracked
from progflags.flags import Client

DOCUMENT = """
[flags.yes]
default = "on"

[flags.share]
percent = 100
[[flags.share.rules]]
when = 'plan == "pro"'
serve = "on"

[flags.half]
percent = 50

[flags.word]
variants = { a = "alpha", b = "beta" }
default = "a"
[[flags.word.rules]]
when = 'country == "NO"'
serve = "b"

[flags.whole]
variants = { one = 1, big = 1e6 }
default = "one"

[flags.broken-number]
variants = { x = 1.5, y = 2.5 }
default = "x"

[flags.shape]
variants = { small = { k = 10, list = [1, 2], deep = { a = 1 } }, large = { k = 100 } }
default = "small"

[flags.listed]
variants = { x = [1, 2], y = [3] }
default = "x"

[flags.bad]
percent = "many"
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "flags.toml"
    path.write_text(DOCUMENT)
    return path


@pytest.fixture
def flags(path):
    with pf.connect(path, poll=None) as flags:
        yield flags


@pytest.fixture
def provider(flags):
    return ProgflagsProvider(flags)


@pytest.fixture
def client(provider):
    api.set_provider_and_wait(provider, "progflags-tests")
    yield api.get_client("progflags-tests")
    api.clear_providers()


class Heard:
    """Events of one kind, as they come (handlers run in a thread of the SDK's)."""

    def __init__(self, client, event):
        self.events = []
        self.changed = threading.Condition()
        client.add_handler(event, self)

    def __call__(self, details):
        with self.changed:
            self.events.append(details)
            self.changed.notify_all()

    def reach(self, count):
        with self.changed:
            return self.changed.wait_for(lambda: len(self.events) >= count, 60)


def of(key="user-1", **attributes):
    return EvaluationContext(key, attributes)


# 2.1, 2.2: metadata and resolution.


def test_2_1_1_the_provider_has_a_name(provider):
    """What hooks and events call it."""
    assert provider.get_metadata().name == "progflags"
    assert provider.get_provider_hooks() == []


@pytest.mark.parametrize(
    ("method", "key", "default", "context", "value", "variant", "reason"),
    [
        ("boolean", "yes", False, of(), True, "on", Reason.STATIC),
        ("boolean", "share", False, of(plan="pro"), True, "on", Reason.TARGETING_MATCH),
        ("string", "word", "x", of(), "alpha", "a", Reason.DEFAULT),
        ("string", "word", "x", of(country="NO"), "beta", "b", Reason.TARGETING_MATCH),
        ("integer", "whole", 7, of(), 1, "one", Reason.STATIC),
        ("float", "whole", 7.5, of(), 1.0, "one", Reason.STATIC),
        ("float", "broken-number", 7, of(), 1.5, "x", Reason.STATIC),
        ("object", "shape", {}, of(), {"k": 10, "list": [1, 2], "deep": {"a": 1}}, "small", Reason.STATIC),
        ("object", "listed", {}, of(), [1, 2], "x", Reason.STATIC),
    ],
)
async def test_2_2_every_type_is_resolved_with_variant_and_reason(client, method, key, default, context, value, variant, reason):
    """Synchronously and asynchronously the same; no error code or message on success (2.2.6)."""
    for details in (
        getattr(client, f"get_{method}_details")(key, default, context),
        await getattr(client, f"get_{method}_details_async")(key, default, context),
    ):
        assert (details.value, details.variant, details.reason) == (value, variant, reason)
        assert type(details.value) is type(value)
        assert (details.error_code, details.error_message) == (None, None)


def test_2_2_5_a_share_is_a_split(client):
    """In or out."""
    found = {client.get_boolean_details("half", False, of(f"user-{n}")).reason for n in range(50)}
    assert found == {Reason.SPLIT}
    assert {client.get_boolean_value("half", False, of(f"user-{n}")) for n in range(50)} == {True, False}


@pytest.mark.parametrize(
    ("method", "key", "default", "context", "code"),
    [
        ("boolean", "nowhere", True, of(), ErrorCode.FLAG_NOT_FOUND),
        ("boolean", "word", True, of(), ErrorCode.TYPE_MISMATCH),
        ("string", "yes", "x", of(), ErrorCode.TYPE_MISMATCH),
        ("integer", "broken-number", 7, of(), ErrorCode.TYPE_MISMATCH),
        ("integer", "yes", 7, of(), ErrorCode.TYPE_MISMATCH),
        ("float", "yes", 7.0, of(), ErrorCode.TYPE_MISMATCH),
        ("object", "word", {"d": 1}, of(), ErrorCode.TYPE_MISMATCH),
        ("object", "yes", [1], of(), ErrorCode.TYPE_MISMATCH),
        ("boolean", "bad", True, of(), ErrorCode.PARSE_ERROR),
        ("boolean", "half", True, EvaluationContext(attributes={"plan": "pro"}), ErrorCode.TARGETING_KEY_MISSING),
        ("boolean", "half", True, EvaluationContext(targeting_key=""), ErrorCode.TARGETING_KEY_MISSING),
        ("boolean", "half", True, None, ErrorCode.TARGETING_KEY_MISSING),
    ],
)
async def test_2_2_7_trouble_is_the_default_a_code_and_a_message(client, method, key, default, context, code):
    """1.4.8–1.4.10: nothing is raised, the reason is error, the caller's own default comes back."""
    for details in (
        getattr(client, f"get_{method}_details")(key, default, context),
        await getattr(client, f"get_{method}_details_async")(key, default, context),
    ):
        assert details.value is default
        assert (details.error_code, details.reason) == (code, Reason.ERROR)
        assert details.error_message
        assert details.variant is None


def test_2_2_9_metadata_says_what_was_served(client, flags):
    """The flag's live revision, and the definitions' version: scalars, by name (2.2.10)."""
    assert client.get_boolean_details("yes", False).flag_metadata == {"revision": 0, "version": flags.definitions.digest}


def test_an_objects_value_is_the_callers_own(client):
    """Changing it changes nobody else's."""
    client.get_object_value("shape", {})["deep"]["a"] = 99
    assert client.get_object_value("shape", {})["deep"] == {"a": 1}


def test_an_override_is_pinned(client, flags):
    """A reason of ours, which 2.2.5 allows."""
    with flags.override({"word": "b"}):
        details = client.get_string_details("word", "x", of())
    assert (details.value, details.reason) == ("beta", "PINNED")


def test_without_a_context_the_ambient_one_answers(client):
    """What middleware bound counts for OpenFeature's callers too; their own context wins."""
    with pf.bind(pf.Context("user-1", {"country": "NO"})):
        assert client.get_string_value("word", "x") == "beta"
        assert client.get_string_value("word", "x", of(country="PL")) == "alpha"


def test_api_client_and_call_contexts_are_merged(client):
    """3.2.2, 3.2.3: the SDK's merge arrives whole."""
    api.set_evaluation_context(EvaluationContext("user-1", {"country": "NO"}))
    try:
        assert client.get_string_value("word", "x", EvaluationContext(attributes={"plan": "pro"})) == "beta"
    finally:
        api.set_evaluation_context(EvaluationContext())


def test_a_poisoned_context_is_not_the_callers_problem(client):
    """An attribute whose comparison raises: the rule does not match, or the default comes back; nothing is raised."""

    class Poison(str):
        __slots__ = ()

        def __eq__(self, other):
            raise RuntimeError("ouch")

        __hash__ = None

    assert client.get_string_value("word", "x", EvaluationContext("u", {"country": Poison("NO")})) in ("alpha", "beta", "x")


def test_hooks_see_the_answer_and_cannot_hurt_it(client):
    """4.4.x: a hook that raises afterwards gives the default, by the SDK's rules; an ordinary one sees the variant."""
    seen = []

    class Watching(Hook):
        def after(self, hook_context, details, hints):
            seen.append((hook_context.flag_key, hook_context.provider_metadata.name, details.variant))

    options = FlagEvaluationOptions(hooks=[Watching()])
    client.get_boolean_value("yes", False, of(), options)
    assert seen == [("yes", "progflags", "on")]


# 2.4, 2.5, 2.8, 5: lifecycle and events.


def test_2_4_initialised_it_is_ready(client):
    """And says so to handlers added later (5.3.3)."""
    assert client.get_provider_status() == ProviderStatus.READY
    assert Heard(client, ProviderEvent.PROVIDER_READY).reach(1)


def test_2_8_ready_is_emitted_before_initialize_ends(provider):
    """By the provider itself: an SDK need not infer it."""
    emitted = []
    provider.attach(lambda who, event, details: emitted.append(event))
    provider.initialize(EvaluationContext())
    assert emitted == [ProviderEvent.PROVIDER_READY]


def test_2_4_2_1_a_client_with_nothing_to_serve_fails_to_initialise():
    """ERROR is emitted, the call ends abnormally, and evaluations give the default."""
    provider = ProgflagsProvider(Client(bus=Bus(), clock=SYSTEM))
    emitted = []
    provider.attach(lambda who, event, details: emitted.append((event, details.error_code)))
    with pytest.raises(ProviderNotReadyError, match="no definitions"):
        provider.initialize(EvaluationContext())

    assert emitted == [(ProviderEvent.PROVIDER_ERROR, ErrorCode.PROVIDER_NOT_READY)]
    assert provider.resolve_boolean_details("yes", True).error_code == ErrorCode.PROVIDER_NOT_READY
    assert provider.resolve_boolean_details("yes", True).value is True


def test_a_reload_is_announced_with_the_keys_that_changed(client, flags, path):
    """5.1.4: and only with those."""
    heard = Heard(client, ProviderEvent.PROVIDER_CONFIGURATION_CHANGED)
    path.write_text(DOCUMENT.replace('a = "alpha"', 'a = "ALPHA"') + "\n[flags.new]\n")
    flags.refresh()

    assert heard.reach(1)
    assert sorted(heard.events[0].flags_changed) == ["new", "word"]
    assert heard.events[0].provider_name == "progflags"
    assert client.get_string_value("word", "x", of()) == "ALPHA"


def test_a_kill_is_announced_too(client, flags):
    """Live state is configuration."""
    heard = Heard(client, ProviderEvent.PROVIDER_CONFIGURATION_CHANGED)
    flags.kill("yes", reason="test")
    assert heard.reach(1)
    assert heard.events[0].flags_changed == ["yes"]
    details = client.get_boolean_details("yes", True)
    assert details.reason == Reason.DISABLED
    assert details.flag_metadata["revision"] > 0


def test_a_refused_file_is_stale_and_a_good_one_ready_again(client, flags, path):
    """The status follows; answers say so while it lasts."""
    stale, ready = Heard(client, ProviderEvent.PROVIDER_STALE), Heard(client, ProviderEvent.PROVIDER_READY)
    assert ready.reach(1)
    path.write_text("[[[")
    flags.refresh()
    assert stale.reach(1)
    assert client.get_provider_status() == ProviderStatus.STALE
    assert client.get_boolean_details("yes", False).reason == Reason.STALE
    assert client.get_boolean_value("yes", False) is True

    path.write_text(DOCUMENT + "# again\n")
    flags.refresh()
    assert client.get_boolean_details("yes", False).reason == Reason.STATIC
    assert ready.reach(2)
    assert client.get_provider_status() == ProviderStatus.READY


def test_the_same_file_back_again_is_ready_again(client, flags, path):
    """Nothing is installed, so no reload tells: the next evaluation notices."""
    path.unlink()
    flags.refresh()
    assert client.get_provider_status() == ProviderStatus.STALE
    path.write_text(DOCUMENT)
    flags.refresh()
    client.get_boolean_value("yes", False)
    assert client.get_provider_status() == ProviderStatus.READY


def test_2_5_shutdown_is_idempotent_ends_the_events_and_leaves_the_client_alone(provider, flags, path):
    """It can be initialised again."""
    emitted = []
    provider.attach(lambda who, event, details: emitted.append(event))
    provider.initialize(EvaluationContext())
    provider.shutdown()
    provider.shutdown()
    emitted.clear()
    path.write_text(DOCUMENT + "\n[flags.new]\n")
    flags.refresh()
    assert emitted == []
    assert flags.is_enabled("new", default=True) is False

    provider.initialize(EvaluationContext())
    path.write_text(DOCUMENT + "\n[flags.newer]\n[flags.new]\n")
    flags.refresh()
    assert emitted == [ProviderEvent.PROVIDER_READY, ProviderEvent.PROVIDER_CONFIGURATION_CHANGED]


def test_initialised_twice_it_tells_once(provider, flags, path):
    """Bound to two domains."""
    emitted = []
    provider.attach(lambda who, event, details: emitted.append(event))
    provider.initialize(EvaluationContext())
    provider.initialize(EvaluationContext())
    emitted.clear()
    path.write_text(DOCUMENT + "\n[flags.new]\n")
    flags.refresh()
    assert emitted == [ProviderEvent.PROVIDER_CONFIGURATION_CHANGED]


def test_a_handler_that_raises_hurts_nobody(provider, flags, path):
    """The reload goes on, and its neighbours hear it."""

    def raising(who, event, details):
        raise RuntimeError("ouch")

    provider.attach(lambda *_: None)
    provider.initialize(EvaluationContext())
    provider.attach(raising)
    path.write_text(DOCUMENT + "\n[flags.new]\n")
    flags.refresh()
    assert "new" in flags.definitions.flags


def test_several_providers_are_apart(path, flags, client):
    """1.8: each its own client, each its own answers."""
    with pf.connect({"flags": {"yes": {"default": "off"}}}, poll=None) as others:
        api.set_provider_and_wait(ProgflagsProvider(others), "progflags-others")
        assert api.get_client("progflags-others").get_boolean_value("yes", True) is False
        assert client.get_boolean_value("yes", False) is True


def test_resolving_from_many_threads_while_it_reloads(client, flags, path):
    """No exception, no answer of neither revision."""
    wrong = []
    stop = threading.Event()

    def read():
        while not stop.is_set():
            details = client.get_string_details("word", "x", of())
            if details.value not in ("alpha", "other") or details.error_code:
                wrong.append(details)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(20):
        path.write_text(DOCUMENT.replace("alpha", ("alpha", "other")[n % 2]) + f"# {n}\n")
        flags.refresh()
    stop.set()
    for thread in threads:
        thread.join(60)
    assert wrong == []


# 2.7, 6: tracking.


def test_2_7_tracking_reaches_the_arms(client, flags):
    """With the value, or 1 without; without a key it counts nothing and raises nothing."""
    heard = []
    flags.bus.listen(Tracked, heard.append)
    client.track("conversion", of("user-1"))
    client.track("conversion", of("user-2"), TrackingEventDetails(99.5, {"currency": "EUR"}))
    client.track("conversion", of("user-3"), TrackingEventDetails(0.0))
    client.track("conversion")
    with pf.bind("user-4"):
        client.track("conversion")

    assert [(event.event, event.unit, event.value) for event in heard] == [
        ("conversion", b"user-1", 1.0),
        ("conversion", b"user-2", 99.5),
        ("conversion", b"user-3", 0.0),
        ("conversion", b"user-4", 1.0),
    ]


def test_without_the_sdk_the_message_is_what_to_install(monkeypatch):
    """At import, the first use."""
    import importlib
    import sys

    class Absent:
        @staticmethod
        def find_spec(name, *_):
            if name == "openfeature":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for name in [name for name in sys.modules if name.partition(".")[0] == "openfeature"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent, *sys.meta_path])
    monkeypatch.delitem(sys.modules, "progflags.contrib.openfeature")
    with pytest.raises(pf.ProgflagsError, match=r"pip install 'progflags\[openfeature\]'"):
        importlib.import_module("progflags.contrib.openfeature")


def test_an_sdk_that_is_there_and_lacks_something_says_so_itself(monkeypatch):
    """Too old, or broken: "not installed" would send its reader the wrong way."""
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, "openfeature.event", None)
    monkeypatch.delitem(sys.modules, "progflags.contrib.openfeature")
    with pytest.raises(ImportError, match=r"openfeature\.event") as raised:
        importlib.import_module("progflags.contrib.openfeature")

    assert not isinstance(raised.value, pf.ProgflagsError)


class Unreadable(dict):
    """Attributes that can't even be copied."""

    def __iter__(self):
        raise RuntimeError

    def keys(self):
        raise RuntimeError


def test_a_context_that_cannot_be_read_is_an_invalid_one():
    """The resolver itself answers, not only the SDK around it; nor does a default that no float can hold raise."""
    flags = pf.connect({"flags": {"half": {"percent": 50}, "n": {"variants": {"a": 1.5}}}}, poll=None)
    provider = ProgflagsProvider(flags)
    details = provider.resolve_boolean_details("half", False, EvaluationContext("u", Unreadable(plan="pro")))
    assert (details.value, details.error_code, details.reason) == (False, ErrorCode.INVALID_CONTEXT, Reason.ERROR)
    assert provider.resolve_float_details("n", 10**400).value == 1.5
    assert provider.resolve_float_details("none", 10**400).value == 10**400
    flags.close()


def test_an_answer_that_is_left_to_the_caller_is_the_default():
    """No error; with the metadata that the flag's file has."""
    document = {"flags": {"f": {"rules": [{"serve": "default()"}], "metadata": {"team": "search"}}}}
    with pf.connect(document, poll=None) as flags:
        details = ProgflagsProvider(flags).resolve_boolean_details("f", True, EvaluationContext("u"))
    assert (details.value, details.variant, details.reason, details.error_code) == (True, None, "DEFAULT", None)
    assert details.flag_metadata["team"] == "search"


def test_metadata_says_that_the_definition_is_being_changed(client, flags):
    """Which one is delivered, and to how much of the traffic."""
    status = flags.rollouts.change("yes", {"rules": [{"percent": 50, "serve": "on"}]})
    told = client.get_boolean_details("yes", False).flag_metadata
    assert (told["change"], told["changePercent"]) == (status.change, 1.0)
    flags.rollouts.rollback("yes")
    assert "change" not in client.get_boolean_details("yes", False).flag_metadata
