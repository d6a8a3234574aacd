"""Ways round a guard that are closed: ordinary code a candidate may hold, and nothing of which a control notices."""

import concurrent.futures
import pickle
import sys
import textwrap
import threading
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from progflags.darklaunch import dark_launch, guards

from .test_guards import run_django


def blocked(function):
    assert function.dark_launch.drain()
    stats = function.dark_launch.stats()
    assert stats.calls == sum(stats.outcomes.values())
    return stats.outcomes["guard_blocked"]


@pytest.mark.parametrize(
    "sql",
    [
        "BEGIN; DELETE FROM t; COMMIT",
        "SET search_path TO tenant; DELETE FROM t",
        "SELECT * FROM t FOR SHARE",
        "SELECT * FROM t FOR KEY SHARE SKIP LOCKED",
        "SELECT pg_try_advisory_lock(1)",
        r"SELECT E'\''; DELETE FROM t --'",
        r"SELECT 'it\'s'; DELETE FROM t -- '",
        "SELECT 1 /*!50000 INTO OUTFILE '/tmp/x' */",
        "WITH x AS (SELECT 1) REPLACE INTO t SELECT * FROM x",
    ],
)
def test_writes_behind_another_word_are_no_reads(sql):
    assert not guards.reads_only(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT REPLACE(name, 'a', 'b') FROM t",
        "SELECT INSERT(name, 1, 2, 'x'), TRUNCATE(price, 2) FROM t",
        "SELECT t.lock, t.update FROM t WHERE t.call = 1",
        r"SELECT * FROM t WHERE a LIKE ? ESCAPE '\' AND b = 'x'",
        "SET search_path TO tenant;",
        "SELECT a FROM t WHERE b = 'it''s; DELETE'",
    ],
)
def test_reads_that_look_like_writes_are_reads(sql):
    assert guards.reads_only(sql)


def test_a_statement_of_many_comments_is_read_in_no_time():
    """Each way of grouping them was tried: doubling with every comment, and the interpreter stands still meanwhile."""
    assert not guards.reads_only("/**/" * 5000 + "1")
    assert guards.reads_only("/**/" * 5000 + "SELECT 1")


@pytest.fixture
def server():
    """A real server: `/there` sends on with 307, which keeps the method; everything asked for is noted with its method."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.server.asked.append((self.command, self.path))
            self.send_response(307 if self.path == "/there" else 204)
            if self.path == "/there":
                self.send_header("Location", f"http://localhost:{self.server.server_port}/here")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.asked = []
    threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def with_httpx(method, url):
    return httpx.request(method, url, follow_redirects=True, trust_env=False).status_code


def with_requests(method, url):
    import requests

    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url).status_code


def with_urllib(method, url):
    from urllib.request import ProxyHandler, Request, build_opener

    return build_opener(ProxyHandler({})).open(Request(url, method=method)).status


def with_urllib3(method, url):
    import urllib3

    return urllib3.PoolManager().request(method, url, retries=5).status


def with_aiohttp(method, url):
    import asyncio

    import aiohttp

    async def ask():
        async with aiohttp.ClientSession() as session, session.request(method, url) as response:
            return response.status

    return asyncio.run(ask())


CLIENTS = [with_httpx, with_requests, with_urllib, with_urllib3, with_aiohttp]


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_may_get_and_not_post(client, flags, engine, server):
    url = f"http://127.0.0.1:{server.server_port}/"

    @dark_launch("on", candidate=lambda method: client(method, url), flags=flags, guards=[guards.http_safe_methods()])
    def control(method):
        return client(method, url)

    for method in ("POST", "GET"):
        assert control(method) == 204
        assert control.dark_launch.drain()

    assert [method for method, _ in server.asked] == ["POST", "GET", "GET"]
    assert blocked(control) == 1
    assert control.dark_launch.stats().outcomes["match"] == 1


@pytest.mark.parametrize("client", [client for client in CLIENTS if client is not with_urllib])  # it follows no 307 with a POST
def test_an_allowed_host_cannot_send_the_request_on_to_another(client, flags, engine, server):
    url = f"http://127.0.0.1:{server.server_port}/there"

    @dark_launch("on", candidate=lambda: client("POST", url), flags=flags, guards=[guards.http_safe_methods(["127.0.0.1"])])
    def control():
        return 204

    control()

    assert blocked(control) == 1
    assert server.asked == [("POST", "/there")]


def test_work_given_to_a_pool_is_the_shadows(flags, engine):
    """A pool's threads know nothing of the shadow; the control's work in the same threads is not refused."""
    sent = []
    client = httpx.Client(transport=httpx.MockTransport(lambda request: sent.append(request.method) or httpx.Response(200)))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:

        def candidate():
            return [pool.submit(client.post, "http://a.test/").result().status_code]

        @dark_launch("on", candidate=candidate, flags=flags, guards=[guards.http_safe_methods()])
        def control():
            return [response.status_code for response in pool.map(client.post, ["http://a.test/"])]

        for n in range(1, 4):
            assert control() == [200]
            assert blocked(control) == n
    assert sent == ["POST"] * 3


SHOP = """
    class Mail:
        @staticmethod
        def send(to): return to
        @classmethod
        def make(cls, to): return cls.__name__, to
        def keep(self, to): return to

    class Letter(Mail): pass

    def charge(amount): return amount
"""


@pytest.fixture
def shop():
    module = types.ModuleType("progflags_test_shop")
    exec(textwrap.dedent(SHOP), module.__dict__)  # noqa: S102 - a module of our own
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


def test_static_and_class_methods_are_refused_and_stay_what_they_are(shop, flags, engine):
    names = ("send", "make", "keep")
    guard = guards.refuse(*(f"{shop.__name__}:Mail.{name}" for name in names))
    ways = [
        *(lambda name=name: getattr(shop.Mail(), name)("ann") for name in names),
        lambda: shop.Mail.send("ann"),
        lambda: shop.Letter.make("ann"),
        lambda: shop.Letter().keep("ann"),
    ]

    @dark_launch("on", candidate=lambda n: ways[n](), flags=flags, guards=[guard])
    def control(n):
        return ways[n]()

    assert [control(n) for n in range(6)] == ["ann", ("Mail", "ann"), "ann", "ann", ("Letter", "ann"), "ann"]
    assert blocked(control) == 6


def test_a_function_is_refused_under_the_names_it_was_imported_to(shop, flags, engine):
    importer = types.ModuleType("progflags_test_importer")
    importer.take = shop.charge
    sys.modules[importer.__name__] = importer
    try:
        guard = guards.refuse(f"{shop.__name__}:charge", effect="a charge")

        @dark_launch("on", candidate=lambda: importer.take(5), flags=flags, guards=[guard])
        def control():
            return importer.take(5)

        assert control() == 5
        assert blocked(control) == 1
    finally:
        del sys.modules[importer.__name__]


def test_two_guards_of_one_place_both_hold(flags, engine):
    """What one guard watches another may watch as well."""
    sent = []
    client = httpx.Client(transport=httpx.MockTransport(lambda request: sent.append(request.method) or httpx.Response(200)))
    guards.http_safe_methods()

    @dark_launch("on", candidate=lambda: client.get("http://a.test/").status_code, flags=flags, guards=[guards.refuse("httpx:Client.send")])
    def control():
        return 200

    control()
    assert blocked(control) == 1
    assert sent == []


def test_a_guard_of_one_database_says_nothing_about_another(flags, engine, tmp_path):
    sqlalchemy = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is in the tests group")
    guarded, other = (sqlalchemy.create_engine(f"sqlite:///{tmp_path / name}") for name in ("a.db", "b.db"))
    for database in (guarded, other):
        with database.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE t (n INTEGER)"))
    guard = guards.sqlalchemy_readonly(guarded)
    assert guards.sqlalchemy_readonly(guarded) is guard
    guards.sqlalchemy_readonly(other)  # some other experiment's

    def write(database):
        with database.begin() as connection:
            connection.execute(sqlalchemy.text("INSERT INTO t VALUES (1)"))

    @dark_launch("on", candidate=lambda n: write((guarded, other)[n]), flags=flags, guards=[guard], share=[sqlalchemy.Engine])
    def control(n):
        return None

    control(0)
    control(1)
    assert blocked(control) == 1
    assert control.dark_launch.stats().outcomes["match"] == 1
    guarded.dispose()
    other.dispose()


def test_guards_made_here_can_follow_a_candidate_into_its_process():
    made = [guards.django_readonly(), guards.django_rollback("other"), guards.http_safe_methods(["a"]), guards.tasks()]

    assert len(pickle.loads(pickle.dumps(made))) == 4  # noqa: S301 - our own


def test_the_applications_own_wrappers_of_django_stay_where_they_are(tmp_path):
    """Django keeps them on a stack: what a guard put there, when the connection was made within a block, the block took off."""
    pytest.importorskip("django")
    out = run_django(
        tmp_path,
        """
        guards.django_readonly()

        def own(execute, sql, params, many, context):
            if "forbidden" in sql:
                raise RuntimeError("the application's own")
            return execute(sql, params, many, context)

        connection.close()
        with connection.execute_wrapper(own):
            rows()
        print(connection.execute_wrappers)
        """,
    )
    assert out == ["[]", ""]


def test_django_scripts_and_open_connections_are_watched_too(tmp_path):
    """A script goes through the driver's cursor; a connection may be older than the guard."""
    pytest.importorskip("django")
    out = run_django(
        tmp_path,
        """
        def script(n):
            with connection.cursor() as cursor:
                cursor.executescript(f"SELECT 1; INSERT INTO t VALUES ({n});")

        def many(n):
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO t VALUES (%s)", [[n]])

        def debugged(n):
            connection.force_debug_cursor = True
            insert(n)

        for effect in (script, many, debugged):
            @dark_launch("on", candidate=lambda n: effect(-n), flags=flags, executor="inline", guards=[guards.django_readonly()])
            def control(n):
                effect(n)

            control(1)
            print(control.dark_launch.stats().outcomes["guard_blocked"])
        print(rows())
        """,
    )
    assert out == ["1", "1", "1", "[1, 1, 1]", ""]
