"""The guards against the real libraries: what a shadow tries on them is refused and counted; the control goes through."""

import subprocess
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from progflags.darklaunch import dark_launch, guards
from support import servers


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

    @app.task(name="shop.mail", shared=False)
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


def each_way_is_refused(flags, ways, queued):
    """Each of `ways` is first tried by a shadow, of which nothing comes, and then by the control, which does what it does."""

    @dark_launch("on", candidate=lambda n: ways[n]() and None, flags=flags, guards=[guards.tasks()])
    def control(n):
        return None

    for n in range(len(ways)):
        control(n)
        assert control.dark_launch.drain()
    assert blocked(control) == len(ways), control.dark_launch.stats()
    assert queued() == 0

    for expected, way in enumerate(ways, 1):
        way()
        assert queued() >= expected


def test_celery_tasks_sent_by_name_or_by_a_canvas_are_not_queued_either(flags, engine):
    celery = pytest.importorskip("celery", reason="Celery is in the tests group")
    from celery.signals import before_task_publish

    app = celery.Celery("shop", broker="memory://")
    published = []

    @app.task(name="shop.letter", shared=False)
    def mail(*_):
        return None

    def note(sender=None, **_):
        published.append(sender)

    before_task_publish.connect(note)
    try:
        ways = [
            lambda: app.send_task("shop.letter"),
            lambda: mail.s().apply_async(countdown=60),
            lambda: celery.group(mail.s(), mail.s()).delay(),
            lambda: celery.chain(mail.s(), mail.s()).delay(),
        ]
        each_way_is_refused(flags, ways, lambda: len(published))
    finally:
        before_task_publish.disconnect(note)


def test_rq_jobs_are_not_queued_or_scheduled_by_a_shadow(flags, engine):
    """On a real Redis: enqueue, the explicit call, many at once, at a time, in a while, and a job made beforehand."""
    pytest.importorskip("rq", reason="RQ is in the tests group")
    import datetime as dt
    import uuid

    from redis import Redis
    from rq import Queue
    from rq.job import Job
    from rq.registry import ScheduledJobRegistry

    with Redis.from_url(servers.redis()) as connection:
        queue = Queue(f"progflags-{uuid.uuid4().hex}", connection=connection)
        scheduled = ScheduledJobRegistry(queue=queue)
        later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
        ways = [
            lambda: queue.enqueue("shop.mail"),
            lambda: queue.enqueue_call("shop.mail"),
            lambda: queue.enqueue_many([Queue.prepare_data("shop.mail")]),
            lambda: queue.enqueue_at(later, "shop.mail"),
            lambda: queue.enqueue_in(dt.timedelta(hours=1), "shop.mail"),
            lambda: queue.enqueue_job(Job.create("shop.mail", connection=connection)),
        ]
        try:
            each_way_is_refused(flags, ways, lambda: len(queue) + len(scheduled))
        finally:
            for job in scheduled.get_job_ids():
                scheduled.remove(job, delete_job=True)
            queue.delete(delete_jobs=True)


@pytest.mark.parametrize("kind", ["MemoryHuey", "SqliteHuey"])
def test_huey_tasks_are_not_queued_or_scheduled_by_a_shadow(kind, flags, engine, tmp_path):
    """Called, scheduled, mapped, in a pipeline, and put on the schedule by hand."""
    huey = pytest.importorskip("huey", reason="Huey is in the tests group")
    options = {"filename": str(tmp_path / "huey.db")} if kind == "SqliteHuey" else {}
    app = getattr(huey, kind)("shop", **options)

    @app.task(shared=False)
    def mail(*_):
        return None

    ways = [
        mail,
        lambda: mail.schedule(delay=3600),
        lambda: mail.map([1, 2]),
        lambda: app.enqueue(mail.s().then(mail)),
        lambda: app.add_schedule(mail.s(delay=3600)),
    ]
    try:
        each_way_is_refused(flags, ways, lambda: app.pending_count() + app.scheduled_count())
    finally:
        app.storage.close()


def test_a_huey_task_that_would_run_at_once_is_not_run(flags, engine):
    huey = pytest.importorskip("huey", reason="Huey is in the tests group")
    app, sent = huey.MemoryHuey("shop", immediate=True), []
    mail = app.task()(lambda: sent.append(1))

    each_way_is_refused(flags, [mail], lambda: len(sent))


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


def test_dramatiq_groups_and_pipelines_go_round_the_actor_and_are_refused(flags, engine):
    dramatiq = pytest.importorskip("dramatiq", reason="Dramatiq is in the tests group")
    from dramatiq.brokers.stub import StubBroker

    broker = StubBroker()
    mail = dramatiq.Actor(lambda *_: None, broker=broker, actor_name="mail", queue_name="default", priority=0, options={})
    ways = [
        lambda: broker.enqueue(mail.message()),
        lambda: dramatiq.group([mail.message(), mail.message()], broker=broker).run(),
        lambda: dramatiq.pipeline([mail.message(), mail.message()], broker=broker).run(),
    ]
    each_way_is_refused(flags, ways, lambda: broker.queues["default"].qsize())
    broker.close()


def each_way_into_dramatiq(dramatiq, broker, queue):
    """An actor's own, at once and later; the broker's; a group; a pipeline: the control's arrive, a shadow's do not."""
    mail = dramatiq.Actor(lambda *_: None, broker=broker, actor_name="mail", queue_name=queue, priority=0, options={})
    return [
        mail.send,
        lambda: mail.send_with_options(delay=3_600_000),
        lambda: broker.enqueue(mail.message()),
        lambda: dramatiq.group([mail.message(), mail.message()], broker=broker).run(),
        lambda: dramatiq.pipeline([mail.message(), mail.message()], broker=broker).run(),
    ]


def test_dramatiq_over_redis_is_guarded_too(flags, engine):
    dramatiq = pytest.importorskip("dramatiq", reason="Dramatiq is in the tests group")
    import uuid

    from dramatiq.brokers.redis import RedisBroker

    space = f"progflags-{uuid.uuid4().hex}"
    broker = RedisBroker(url=servers.redis(), namespace=space)
    try:
        ways = each_way_into_dramatiq(dramatiq, broker, "mail")
        each_way_is_refused(flags, ways, lambda: sum(broker.client.llen(f"{space}:{queue}") for queue in ("mail", "mail.DQ")))
    finally:
        for key in broker.client.scan_iter(f"{space}*"):
            broker.client.delete(key)
        broker.close()


def test_dramatiq_over_rabbitmq_is_guarded_too(flags, engine):
    dramatiq = pytest.importorskip("dramatiq", reason="Dramatiq is in the tests group")
    pytest.importorskip("pika", reason="pika is in the tests group")
    import uuid

    from dramatiq.brokers.rabbitmq import RabbitmqBroker

    queue = f"progflags-{uuid.uuid4().hex}"
    broker = RabbitmqBroker(url=servers.rabbitmq(), confirm_delivery=True)
    try:
        ways = each_way_into_dramatiq(dramatiq, broker, queue)
        broker.declare_queue(queue, ensure=True)
        each_way_is_refused(flags, ways, lambda: sum(broker.get_queue_message_counts(queue)[:2]))
    finally:
        for name in (queue, f"{queue}.DQ", f"{queue}.XQ"):
            broker.channel.queue_delete(name)
        broker.close()


DJANGO_TASKS = """
    import sys
    from django.conf import settings

    DUMMY, AT_ONCE = "django.tasks.backends.dummy.DummyBackend", "django.tasks.backends.immediate.ImmediateBackend"
    settings.configure(TASKS={"default": {"BACKEND": DUMMY}, "at_once": {"BACKEND": AT_ONCE}}, USE_TZ=True, SECRET_KEY="x")
    import django

    django.setup()
    sys.modules["shop"] = sys.modules["__main__"]
    from asgiref.sync import async_to_sync
    from django.tasks import default_task_backend, task

    import progflags as pf
    from progflags.darklaunch import guards

    flags = pf.connect({"flags": {"on": {"percent": 100}}}, poll=None)
    sent = []

    @task
    def mail():
        sent.append("a letter")

    mail_at_once = mail.using(backend="at_once")

    def queued():
        return len(default_task_backend.results) + len(sent)

    ways = [
        lambda: mail.enqueue(),
        lambda: async_to_sync(mail.aenqueue)(),
        lambda: mail.using(priority=5).enqueue(),
        lambda: default_task_backend.enqueue(mail, [], {}),
        lambda: async_to_sync(default_task_backend.aenqueue)(mail, [], {}),
        lambda: mail_at_once.enqueue(),
        lambda: async_to_sync(mail_at_once.aenqueue)(),
    ]

    @pf.dark_launch("on", candidate=lambda n: ways[n]() and None, flags=flags, guards=[guards.tasks()], deadline=600)
    def control(n):
        return None

    for n in range(len(ways)):
        control(n)
    print(control.dark_launch.drain(60), control.dark_launch.stats().outcomes["guard_blocked"], queued())
    for way in ways:
        way()
    print(queued())
"""


def test_djangos_own_tasks_are_not_queued_by_a_shadow(tmp_path):
    """Asked of the task, sync and async, or of the backend; one that keeps tasks and one that runs them at once."""
    pytest.importorskip("django.tasks", reason="Django has tasks from 6.0 on, which needs Python 3.12")
    source = textwrap.dedent(DJANGO_TASKS)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120, cwd=tmp_path)

    assert done.stdout.split("\n") == ["True 7 0", "7", ""], done.stderr
