"""The guards against the real libraries: what a shadow tries on them is refused and counted; the control goes through."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from progflags.darklaunch import dark_launch, guards


def blocked(function):
    return function.dark_launch.stats().outcomes["guard_blocked"]


def test_sqlalchemy_may_be_read_and_not_written(flags, engine, tmp_path):
    """A candidate that inserts is refused before the database sees it; one that selects is not; the control inserts."""
    sqlalchemy = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is in the tests group")
    database = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with database.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE orders (n INTEGER)"))

    def run(statement):
        with database.begin() as connection:
            connection.execute(sqlalchemy.text(statement))

    @dark_launch("on", candidate=run, flags=flags, guards=[guards.sqlalchemy_readonly(database)])
    def control(statement):
        run(statement)

    for statement in ("INSERT INTO orders VALUES (1)", "SELECT n FROM orders", "DELETE FROM orders WHERE n = 7"):
        control(statement)
        assert control.dark_launch.drain()
    with database.connect() as connection:
        rows = connection.execute(sqlalchemy.text("SELECT count(*) FROM orders")).scalar()
    database.dispose()

    assert rows == 1
    assert blocked(control) == 2
    assert control.dark_launch.stats().outcomes["match"] == 1


@pytest.fixture
def server():
    """A real server on loopback that notes the methods it was asked with."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.command)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/", asked
        http.shutdown()
        thread.join()


def test_requests_may_get_and_not_post(flags, engine, server):
    requests = pytest.importorskip("requests", reason="requests is in the tests group")
    url, asked = server

    @dark_launch("on", candidate=lambda method: requests.request(method, url).status_code, flags=flags, guards=[guards.http_safe_methods()])
    def control(method):
        return requests.request(method, url).status_code

    for method in ("POST", "GET"):
        assert control(method) == 204
        assert control.dark_launch.drain()

    assert asked == ["POST", "GET", "GET"]
    assert blocked(control) == 1


def test_celery_tasks_are_not_queued_by_a_shadow(flags, engine):
    """With an in-memory broker: the control's task is queued, the candidate's is refused."""
    celery = pytest.importorskip("celery", reason="Celery is in the tests group")
    app = celery.Celery("shop", broker="memory://")

    @app.task(name="shop.mail")
    def mail():
        return None

    published = []
    from celery.signals import before_task_publish

    def note(sender=None, **_):
        published.append(sender)

    before_task_publish.connect(note)
    try:

        @dark_launch("on", candidate=lambda: mail.delay() and None, flags=flags, guards=[guards.tasks()])
        def control():
            mail.delay()

        control()
        assert control.dark_launch.drain()
    finally:
        before_task_publish.disconnect(note)

    assert published == ["shop.mail"]
    assert blocked(control) == 1


def test_dramatiq_messages_are_not_queued_by_a_shadow(flags, engine):
    dramatiq = pytest.importorskip("dramatiq", reason="Dramatiq is in the tests group")
    from dramatiq.brokers.stub import StubBroker

    broker = StubBroker()
    mail = dramatiq.Actor(lambda: None, broker=broker, actor_name="mail", queue_name="default", priority=0, options={})

    @dark_launch("on", candidate=lambda: mail.send() and None, flags=flags, guards=[guards.tasks()])
    def control():
        mail.send()

    control()
    assert control.dark_launch.drain()

    assert broker.queues["default"].qsize() == 1
    assert blocked(control) == 1
    broker.close()
