"""What the examples of docstrings take for granted: a client, an application, and what has happened before."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import progflags as pf
from progflags.notify import Message, Severity
from progflags.store import Commit, MemoryStore
from progflags.testing import ManualClock
from support.site import Site

__all__ = ["BEFORE", "NOT_RUN", "THEN", "stand_ins"]

Names = dict[str, Any]

FLAGS = """\
[flags.new-search]
percent = 50
[flags.checkout-flow]
variants = { classic = "classic", fast = "fast" }
default = "classic"
[flags.search-limits]
variants = { small = { k = 10 } }
default = "small"
[flags.pricing-v2]
percent = 100
[flags.orders-v2]
percent = 100
[flags.search-v2]
percent = 100
[flags.new-checkout.rollout]
stages = [{ percent = 10, bake = "15m" }, { percent = 50, bake = "1h" }]
"""
SECRET = "a secret that is long enough"  # noqa: S105 - nobody's

#: Examples that need what is not here, by the name they belong to.
NOT_RUN = {
    "progflags.contrib.django.client": "a Django project; tests/contrib/test_django.py has one in a process of its own",
    "progflags.contrib.objects.ObjectSource": "a bucket",
    "progflags.contrib.postgres.PostgresStore": "a database",
    "progflags.contrib.redis.RedisStore": "a server",
}
#: What has happened before an example, by the name it belongs to.
BEFORE: dict[str, Callable[[Names], None]] = {}
#: What is done with what an example defines, so that it runs: by name, an expression that is true.
THEN = {
    "progflags.Asked": "who(asked).name == 'ann' and app.routes",
    "progflags.contrib.flask.Progflags": "app.test_client().get('/search').json == {'vectors': False}",
    "progflags.darklaunch.Unrepaired": "not repair(Unrepaired('new', (), {}, OSError())) and behind",
    "progflags.force": "search('words') == 'words'",
    "progflags.notify.Channel": "Pager(name='pager').send(message) is None",
    "progflags.notify.Message": "Log(name='log').send(message) is None",
    "progflags.rollout.Hook": "(flags.rollouts.deliver(), flags.rollouts.start('new-checkout'), flags.rollouts.deliver())[2]",
    "progflags.sources.Source": "flags.is_enabled('new-search', 'user-42')",
    "progflags.store.Hinting": "(telling := Telling()).hint(0.0) and not telling.hint(0.0)",
    "progflags.store.Timed": "Dated().now() > 0",
    "progflags.testing.SharedStoreContract": "(contract := TestMyStore(), setattr(contract, 'folder', '.'), contract.make_store().revision() == 0)[2]",
    "progflags.wsgi.FlagsMiddleware": "who({'PATH_INFO': '/'}).attributes['path'] == '/'",
}


def stand_ins(dotted: str) -> Names:
    """The names that an example may use without saying whence, those of its own module among them; files are made in the current folder."""
    room = dotted.rpartition(".")[0]
    while room not in sys.modules:
        room = room.rpartition(".")[0]
    own = {} if room == "progflags" else {name: getattr(sys.modules[room], name) for name in getattr(sys.modules[room], "__all__", ())}
    for name, text in {"flags.toml": FLAGS, "local.toml": "", "new.toml": FLAGS.replace("[flags.new-checkout.", _RULES)}.items():
        Path(name).write_text(text)
    clock = ManualClock(wall=time.time())
    flags = pf.connect("flags.toml", clock=clock, store=MemoryStore(clock=clock))
    store = MemoryStore()
    names = {
        **_application(wsgi="wsgi" in dotted or "flask" in dotted),
        **_values(),
        **own,
        "pf": pf,
        "flags": flags,
        "clock": clock,
        "store": store,
        "__name__": "shop",
    }
    BEFORE.get(dotted, bool)(names)
    return names


_RULES = """[flags.new-checkout]
rules = [{ when = "school", serve = "on" }]
[flags.new-checkout."""


def _application(*, wsgi: bool) -> Names:
    from fastapi import Depends, FastAPI
    from flask import Flask

    if not wsgi:
        return {"app": FastAPI(), "FastAPI": FastAPI, "Depends": Depends, "Annotated": Annotated}
    app = Flask("shop")
    app.secret_key = SECRET
    return {"app": app}


@dataclass
class User:
    id: str = "user-42"
    name: str = "ann"
    plan: str = "pro"
    is_staff: bool = True


class Shelf:
    """A store of the application's own."""

    def get(self, *_: Any) -> None: ...

    def put(self, *_: Any) -> None: ...


class Uninstalled:
    """A package that can't be imported, until `close`."""

    def __init__(self, package: str) -> None:
        self.package, self.there = package, sys.modules.get(package)
        sys.modules[package] = None  # type: ignore[assignment] # which is how the import system says so

    def close(self) -> None:
        del sys.modules[self.package]
        sys.modules.update({self.package: self.there} if self.there else {})


def nothing(*_: Any, **__: Any) -> None: ...


def _values() -> Names:
    """What an application has, as people call it."""
    message = Message("1", "kill", "new-search", "kill/new-search/1", Severity.CRITICAL, "killed", (), "", "", "", (), 0.0, ())
    functions = ("who", "page", "send_receipt", "price_v2", "checkout_v2", "search_v2", "orders_v2", "open_tickets")
    judged = {
        "analyzer": pf.CanaryAnalyzer(pf.CanaryConfig(gates=[pf.Gate("error_rate", max=0.02)])),
        "baseline": {"error_rate": pf.Rate(12, 10_000)},
        "canary": {"error_rate": pf.Rate(310, 10_000)},
    }
    asked = pf.Asked("GET", "/", {"authorization": "Bearer 1"}, "127.0.0.1")
    people = {"User": User, "current_user": User, "of_user": User, "PEOPLE": {"Bearer 1": "ann"}, "asked": asked}
    secrets = {"SECRET": SECRET, "NEW_SECRET": SECRET, "OLD_SECRET": SECRET[::-1], "TOKEN": "t" * 32}
    things = {"cart": {}, "order": {}, "order_id": 1, "behind": [], "settings": {"flags": FLAGS}, "old": Shelf(), "new": Shelf()}
    rest = {"message": message, "time": time, "ask_the_server": time.time}
    return dict.fromkeys(functions, nothing) | judged | people | secrets | things | rest


def before(*dotted: str) -> Callable[[Callable[[Names], None]], Callable[[Names], None]]:
    def named(scene: Callable[[Names], None]) -> Callable[[Names], None]:
        BEFORE.update(dict.fromkeys(dotted, scene))
        return scene

    return named


@before("progflags.Change", "progflags.MovedOn", "progflags.Transition", "progflags.rollout.State", "progflags.rollout.Rollouts.rollback")
def begun(names: Names) -> None:
    """A rollout is under way."""
    names["flags"].rollouts.start("new-checkout", by="ann")


@before("progflags.Problem", "progflags.Status", "progflags.Flags.status")
def refused(names: Names) -> None:
    """A flag's definition has a mistake."""
    Path("flags.toml").write_text(FLAGS.replace("percent = 50", "percent = 250", 1))
    names["flags"].refresh()


@before(*(f"progflags.darklaunch.{name}" for name in ("DarkLaunchStats", "DarkLaunchVerdict", "Experiment", "Outcome", "Safety")))
def compared(names: Names, **options: Any) -> None:
    """A dark launch has run, of a control that never says the same twice."""

    @pf.dark_launch("pricing-v2", candidate=lambda _: {"id": "", "total": 1}, flags=names["flags"], key=str, **options)
    def price(_: object) -> dict[str, Any]:
        return {"id": uuid4().hex, "total": 1}

    for number in range(20):
        price(number)
    assert price.dark_launch.drain(10)
    names["price"] = price


@before("progflags.darklaunch.Proposal")
def noisy(names: Names) -> None:
    """And the control was run again beside it."""
    compared(names, aa_rate=1.0)


@before("progflags.darklaunch.ShadowSummary", "progflags.rollout.Process")
def told(names: Names) -> None:
    """And its process has told of itself."""
    compared(names)
    names["flags"].rollouts.publish(at_once=True)


@before("progflags.errors.ReadOnlyError", "progflags.contrib.http.HttpSource")
def served(names: Names) -> None:
    """The flags and a snapshot of them are behind an address, which takes the place of the example's."""
    from progflags.contrib.publish import Publisher

    publisher = Publisher("flags.toml", store="sqlite:///progflags.db", to="snapshot.json")
    publisher.publish()
    publisher.close()
    site = names["site"] = Site(b"")
    site.answer = lambda asked: site.plain(asked, Path(asked.path[1:]).read_bytes())
    names["instead"] = "https://config.example.com", site.url.rpartition("/")[0]


@before("progflags.errors.MissingExtraError")
def uninstalled(names: Names) -> None:
    """A package is not there."""
    names["uninstalled"] = Uninstalled("obstore")


@before(*(f"progflags.contrib.sqlalchemy.{name}" for name in ("own_session", "OwnSession", "rows", "rows_with")))
def mapped(names: Names) -> None:
    """A model, and an engine."""
    from sqlalchemy import create_engine
    from sqlalchemy.orm import declarative_base, sessionmaker
    from sqlalchemy.schema import Column
    from sqlalchemy.types import Integer

    columns = {"id": Column(Integer, primary_key=True), "user_id": Column(Integer)}
    model = type("Order", (declarative_base(),), {"__tablename__": "orders", **columns})
    names |= {"Order": model, "engine": create_engine("sqlite://"), "sessions": sessionmaker(create_engine("sqlite://"))}


@before(*(f"progflags.telemetry.{name}" for name in ("ArmReader", "instrument", "tee")))
def measured(names: Names) -> None:
    """A provider of the SDK's."""
    names["provider"] = importlib.import_module("opentelemetry.sdk.metrics").MeterProvider(shutdown_on_exit=False)


@before("progflags.store.Document")
def kept(names: Names) -> None:
    """A store has a rollout's state."""
    names["store"].commit(Commit({"rollout/new-checkout": {"state": "ramping"}}))


@before("progflags.rollout.signature")
def signed(names: Names) -> None:
    """A webhook has come."""
    from progflags.rollout import signature

    names |= {"body": b"{}", "headers": {"X-Progflags-Signature": signature(SECRET, b"{}", int(time.time()))}}
