"""What a shadow may not do, it does not do; and the control does it undisturbed."""

import asyncio
import subprocess
import sys
import textwrap
import threading

import httpx
import pytest

from progflags.darklaunch import dark_launch, guards, shadow
from progflags.darklaunch.guards._marker import HEADER, header


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "  -- note\n select * from t where a = 'INSERT'",
        "(SELECT 1) UNION (SELECT 2)",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        'SELECT "update" FROM t;',
        "EXPLAIN SELECT 1",
        "SAVEPOINT s",
        "/* DELETE */ VALUES (1)",
    ],
)
def test_reads_are_reads(sql):
    assert guards.reads_only(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1)",
        "update t set a = 1",
        "SELECT * FROM t FOR UPDATE",
        "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
        "SELECT 1; DELETE FROM t",
        "SELECT nextval('s')",
        "EXPLAIN ANALYZE DELETE FROM t",
        "SELECT * INTO u FROM t",
        "/* SELECT */ DROP TABLE t",
        "PRAGMA journal_mode = WAL",
        "",
        "CALL f()",
    ],
)
def test_everything_else_is_not(sql):
    assert not guards.reads_only(sql)


def blocked(function):
    stats = function.dark_launch.stats()
    assert stats.calls == sum(stats.outcomes.values())
    return stats.outcomes["guard_blocked"]


def test_unsafe_requests_are_refused_in_the_shadow_and_marked_ones_go_out(flags, engine):
    sent = []

    def handle(request):
        sent.append((request.method, request.headers.get(HEADER)))
        return httpx.Response(200)

    client = httpx.Client(transport=httpx.MockTransport(handle))

    @dark_launch(
        "on",
        candidate=lambda method, host: client.request(method, f"http://{host}/").status_code,
        flags=flags,
        guards=[guards.http_safe_methods(["ok.test"])],
    )
    def control(method, host):
        return client.request(method, f"http://{host}/").status_code

    for method, host in (("POST", "a.test"), ("GET", "a.test"), ("POST", "ok.test")):
        control(method, host)
        assert control.dark_launch.drain()

    assert [method for method, mark in sent if mark is None] == ["POST", "GET", "POST"]
    assert [method for method, mark in sent if mark is not None] == ["GET", "POST"]
    assert blocked(control) == 1
    assert control.dark_launch.stats().outcomes["match"] == 2


async def test_async_clients_are_watched_too(flags, engine):
    sent = []
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: sent.append(request.method) or httpx.Response(200)))

    async def candidate():
        await client.delete("http://a.test/")

    @dark_launch("on", candidate=candidate, flags=flags, guards=[guards.http_safe_methods()])
    async def control():
        return None

    await control()
    assert await control.dark_launch.adrain()
    assert sent == []
    assert blocked(control) == 1


class Mailer:
    sent = 0

    def send(self):
        type(self).sent += 1


def test_any_function_can_be_refused_by_its_name(flags, engine):
    place = f"{__name__}:Mailer.send"
    sys.modules.setdefault(__name__, sys.modules[Mailer.__module__])

    def candidate():
        try:
            Mailer().send()
        except shadow.Blocked:
            return "swallowed, and counted all the same"

    @dark_launch("on", candidate=candidate, flags=flags, guards=[guards.refuse(place, effect="mail")])
    def control():
        Mailer().send()

    control()
    assert control.dark_launch.drain()
    assert Mailer.sent == 1
    assert blocked(control) == 1


def test_a_place_that_does_not_exist_is_said_at_once():
    with pytest.raises(ImportError):
        guards.refuse("no.such.module:function")
    with pytest.raises(AttributeError):
        guards.refuse("json:no_such_function")
    guards.tasks()


def test_outside_a_shadow_there_is_no_marker():
    assert header() == {}
    with shadow.suppressed("pricing v2"):
        assert shadow.active()
        assert header() == {HEADER: "pricing_v2;"}
    assert not shadow.active()


def test_baggage_and_trace_are_the_shadows_own(flags, engine):
    trace = pytest.importorskip("opentelemetry.trace")
    from opentelemetry import baggage
    from opentelemetry.sdk.trace import TracerProvider

    seen = []

    def candidate():
        seen.append((trace.get_current_span().get_span_context().is_valid, baggage.get_baggage("progflags.shadow")))

    @dark_launch("on", candidate=candidate, flags=flags)
    def control():
        seen.append((trace.get_current_span().get_span_context().is_valid, baggage.get_baggage("progflags.shadow")))

    with TracerProvider().get_tracer("t").start_as_current_span("request"):
        control()
    assert control.dark_launch.drain()
    assert seen == [(True, None), (False, "1")]


DJANGO = """
import os, sys, threading
import progflags.darklaunch._experiment as experiments, progflags.darklaunch._launch as launch, progflags.darklaunch._shadowed as shadowed
shadowed.STALE = launch.DEADLINE = 60.0  # as conftest does: a machine that stands still decides nothing
experiments.Experiment.drain.__defaults__ = experiments.Experiment.adrain.__defaults__ = (30.0,)
from django.conf import settings
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    INSTALLED_APPS=["django.contrib.contenttypes"], DEFAULT_AUTO_FIELD="django.db.models.AutoField", USE_TZ=True)
import django
django.setup()
from django.db import connection, connections
from progflags._clock import SYSTEM
from progflags.darklaunch import dark_launch, guards
from progflags.events import Bus
from progflags.flags import Client, parse
flags = Client(bus=Bus(), clock=SYSTEM)
flags.install(parse({"flags": {"on": {"percent": 100}}}, file="<dict>", lines=lambda _: None))
with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE t (n INTEGER)")

def rows():
    with connection.cursor() as cursor:
        cursor.execute("SELECT n FROM t ORDER BY n")
        return [n for n, in cursor.fetchall()]

def insert(n):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (%s)", [n])
"""


def run_django(tmp_path, body):
    source = DJANGO + textwrap.dedent(body)
    done = subprocess.run([sys.executable, "-W", "error", "-c", source, str(tmp_path / "db")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


def test_django_writes_are_refused_or_rolled_back_and_connections_are_closed(tmp_path):
    pytest.importorskip("django")
    out = run_django(
        tmp_path,
        """
        open_in_shadow = []
        def note():
            open_in_shadow.append(threading.get_ident())

        @dark_launch("on", candidate=lambda n: insert(-n), flags=flags, guards=[guards.django_readonly()])
        def refused(n):
            insert(n)

        @dark_launch("on", candidate=lambda n: (insert(-n), rows())[1], flags=flags, guards=[guards.django_rollback()])
        def rolled_back(n):
            insert(n)
            return rows()

        @dark_launch("on", candidate=lambda: rows(), flags=flags, guards=[guards.django_readonly()])
        def reads():
            return rows()

        refused(1); print(refused.dark_launch.drain(), refused.dark_launch.stats().outcomes["guard_blocked"])
        rolled_back(2); print(rolled_back.dark_launch.drain(), rolled_back.dark_launch.stats().mismatches)
        reads(); print(reads.dark_launch.drain(), reads.dark_launch.stats().outcomes["match"])
        print(rows())
        """,
    )
    assert out == ["True 1", "True {'$': 1}", "True 1", "[1, 2]", ""]


def test_django_mail_is_not_sent_by_a_shadow_one_by_one_or_in_bulk(tmp_path):
    pytest.importorskip("django")
    out = run_django(
        tmp_path,
        """
        from django.core import mail
        letter = ("Hello", "…", "shop@example.com", ["ann@example.com"])
        import warnings
        warnings.filterwarnings("ignore", message="The 'connection' argument")  # Django 6.1 wants MAILERS, which 5.2 does not know
        from django.core.mail.backends.locmem import EmailBackend as local
        ways = [
            lambda: mail.EmailMessage(*letter, connection=local()).send(),
            lambda: mail.send_mail(*letter, connection=local()),
            lambda: mail.send_mass_mail([letter, letter], connection=local()),
        ]

        @dark_launch("on", candidate=lambda n: ways[n]() and None, flags=flags, guards=[guards.tasks()])
        def control(n):
            return None

        mail.outbox = []
        for n in range(3):
            control(n)
        print(control.dark_launch.drain(), control.dark_launch.stats().outcomes["guard_blocked"], len(mail.outbox))
        for way in ways:
            way()
        print(len(mail.outbox))
        """,
    )
    assert out == ["True 3 0", "4", ""]


def test_inside_a_transaction_the_shadow_waits_for_the_commit(tmp_path):
    """Before it, the caller's own rows are not there to be read: every read-your-writes would be a mismatch."""
    pytest.importorskip("django")
    out = run_django(
        tmp_path,
        """
        from django.db import transaction

        @dark_launch("on", candidate=rows, flags=flags)
        def reads():
            return rows()

        with transaction.atomic():
            insert(1)
            reads()
            print(reads.dark_launch.stats().calls, reads.dark_launch.pending)
        print(reads.dark_launch.drain(), reads.dark_launch.stats().outcomes["match"])
        try:
            with transaction.atomic():
                insert(2)
                reads()
                1 / 0
        except ZeroDivisionError:
            pass
        connection.run_on_commit = []
        print(reads.dark_launch.drain(), reads.dark_launch.stats().shed)
        """,
    )
    assert out == ["1 0", "True 1", "True {'rolled_back': 1}", ""]


DJANGO_APP = """
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from progflags.darklaunch import shadow

async def asynchronous(request):
    return JsonResponse({"shadow": False, "n": request.GET.get("n")})

def synchronous(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"shadow": shadow.active(), "body": len(request.body)})

def stream(request):
    return StreamingHttpResponse(iter([b"a", b"b"]), content_type="text/plain")

import types
urls = types.ModuleType("urls")
urls.urlpatterns = [path("a", asynchronous), path("s", synchronous), path("stream", stream)]
sys.modules["urls"] = urls
settings.ROOT_URLCONF = "urls"
settings.ALLOWED_HOSTS = ["*"]
settings.SECRET_KEY = "x"
"""


def test_django_is_shadowed_through_both_doors(tmp_path):
    """Sync and async views, streams and bodies; nothing is consumed, and a shadow's views know that they are one."""
    pytest.importorskip("django")
    out = run_django(
        tmp_path,
        DJANGO_APP
        + textwrap.dedent("""
        import asyncio, io
        import httpx
        from django.core.asgi import get_asgi_application
        from django.core.wsgi import get_wsgi_application
        from progflags.asgi import DarkLaunchMiddleware
        from progflags.wsgi import DarkLaunchMiddleware as WSGIDarkLaunchMiddleware

        wsgi, asgi = get_wsgi_application(), get_asgi_application()
        door = WSGIDarkLaunchMiddleware(wsgi, flag="on", candidate=wsgi, flags=flags, methods=["GET", "POST"])
        with httpx.Client(transport=httpx.WSGITransport(door), base_url="http://t") as client:
            print(client.get("/a?n=1").json(), client.post("/s", content=b"abc").json()["body"], client.get("/stream").text)
        print(door.dark_launch.drain(), door.dark_launch.stats().outcomes["match"], door.dark_launch.stats().mismatches)

        async def main():
            door = DarkLaunchMiddleware(asgi, flag="on", candidate=asgi, flags=flags, methods=["GET", "POST"])
            async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://t") as client:
                print((await client.get("/a?n=1")).json(), (await client.post("/s", content=b"abc")).json()["body"])
            print(await door.dark_launch.adrain(), door.dark_launch.stats().outcomes["match"], door.dark_launch.stats().mismatches)

        asyncio.run(main())
        """),
    )
    assert out == [
        "{'shadow': False, 'n': '1'} 3 ab",
        "True 2 {'$.body.shadow': 1}",
        "{'shadow': False, 'n': '1'} 3",
        "True 1 {'$.body.shadow': 1}",
        "",
    ]


def test_djangos_request_thread_is_not_the_shadows(flags, engine):
    """The control's next sync_to_async must not wait behind what the shadow does in a thread."""
    asgiref = pytest.importorskip("asgiref.sync")
    go_on, ended = threading.Event(), []

    async def candidate():
        await asgiref.sync_to_async(lambda: ended.append(go_on.wait(120)))()

    @dark_launch("on", candidate=candidate, flags=flags)
    async def control():
        return None

    async def main():
        async with asgiref.ThreadSensitiveContext():
            await asgiref.sync_to_async(lambda: None)()
            await control()
            await asyncio.sleep(0.05)
            await asgiref.sync_to_async(lambda: None)()
            waited = bool(ended)
            go_on.set()
        assert await control.dark_launch.adrain()
        return waited

    assert asyncio.run(main()) is False
