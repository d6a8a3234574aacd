"""Django: each test is a project of its own, in a process of its own, because Django is configured once per process."""

import json
import os
import subprocess
import sys
from textwrap import dedent

import httpx
import pytest

from support.web import free_port, gunicorn, process

SETTINGS = """
    import os
    from pathlib import Path

    BASE_DIR = Path(__file__).parent
    SECRET_KEY = "a-secret-that-is-long-enough"
    ALLOWED_HOSTS = ["*"]
    ROOT_URLCONF = "urls"
    USE_TZ = True
    INSTALLED_APPS = [
        "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
        "django.contrib.admin", "django.contrib.staticfiles", "progflags.contrib.django",
    ]
    MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "progflags.contrib.django.middleware.FlagsMiddleware",
    ]
    TEMPLATES = [{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages", "progflags.contrib.django.context_processors.flags",
        ]},
    }]
    STATIC_URL = "static/"
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
    DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
    PROGFLAGS = {"source": BASE_DIR / "flags.toml", "store": f"sqlite:///{BASE_DIR}/live.db", "poll": None, "context": "shop.context"}
"""

FLAGS = """
    [flags.new-search]
    percent = 25

    [flags.checkout-flow]
    variants = { classic = "classic", fast = "fast" }
    default = "classic"
    rules = [{ split = { classic = 1, fast = 1 } }]

    [flags.new-checkout.rollout]
    stages = [{ percent = 50, bake = "1m" }]
"""

SHOP = """
    import asyncio, json, time
    from django.http import JsonResponse, HttpResponse, StreamingHttpResponse, FileResponse
    from django.shortcuts import render
    from django.views import View
    import progflags as pf
    from progflags.context import scope
    from progflags.events import Served
    from progflags.contrib.django.decorators import flag_required, FlagRequiredMixin

    told = []

    def context(request):
        return request.headers.get("x-user")

    def listen():
        pf.default().bus.listen(Served, told.append)

    def start(request):
        listen()
        pf.default().rollouts.start("new-checkout")
        pf.default().rollouts.tick()
        return JsonResponse({})

    def seen(request):
        return JsonResponse([[e.exposures[0].arm, e.failed, e.unit.decode()] for e in told], safe=False)

    def facts(request):
        return {
            "search": request.flags.is_enabled("new-search"), "checkout": request.flags.is_enabled("new-checkout"),
            "key": scope().context.key, "default": pf.default() is request.flags,
        }

    def sync_view(request):
        return JsonResponse(facts(request))

    async def async_view(request):
        await asyncio.sleep(0)
        return JsonResponse(facts(request))

    def fails(request):
        request.flags.is_enabled("new-checkout")
        raise RuntimeError("boom")

    def stream(request):
        def chunks():
            request.flags.is_enabled("new-checkout")
            yield b"one "
            yield b"two"
        return StreamingHttpResponse(chunks())

    async def astream(request):
        async def chunks():
            request.flags.is_enabled("new-checkout")
            yield b"one "
            await asyncio.sleep(0)
            yield b"two"
        return StreamingHttpResponse(chunks())

    def a_file(request):
        request.flags.is_enabled("new-checkout")
        return FileResponse(open(__file__, "rb"))

    def page(request):
        return render(request, "page.html")

    @flag_required("new-search")
    def hidden(request):
        return HttpResponse("found")

    @flag_required("checkout-flow", "fast")
    async def hidden_async(request):
        return HttpResponse("fast")

    class Hidden(FlagRequiredMixin, View):
        flag_name = "new-search"

        def get(self, request):
            return HttpResponse("found")
"""

URLS = """
    from django.contrib import admin
    from django.urls import path
    import shop

    urlpatterns = [
        path("admin/", admin.site.urls),
        path("hidden-class/", shop.Hidden.as_view()),
        *(path(f"{name}/", getattr(shop, name)) for name in (
            "start", "seen", "sync_view", "async_view", "fails", "stream", "astream", "a_file", "page", "hidden", "hidden_async")),
    ]
"""

PAGE = """{% load progflags %}{% flag "new-search" %}vectors{% else %}words{% endflag %}
{% flag "checkout-flow" is "fast" %}fast{% endflag %}
{% if flags.new_search %}vectors{% else %}words{% endif %}
{{ flags.checkout_flow }}
{% flag_value "checkout-flow" "classic" as flow %}{{ flow }}
{% flag "no-such-flag" %}shown{% endflag %}{{ flags.nothing|default:"nothing" }}"""


MIGRATED = []


class Project:
    def __init__(self, folder):
        self.folder = folder
        self.write("settings.py", SETTINGS)
        self.write("flags.toml", FLAGS)
        self.write("shop.py", SHOP)
        self.write("urls.py", URLS)
        self.write("wsgi.py", "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n")
        self.write("asgi.py", "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n")
        self.write(
            "manage.py", "import sys\nfrom django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n"
        )
        (folder / "templates").mkdir()
        (folder / "templates" / "page.html").write_text(PAGE)
        self.environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(folder), "PYTHONWARNINGS": "default"}

    def write(self, name, text):
        (self.folder / name).write_text(dedent(text))

    def migrate(self):
        """The tables of Django's own applications; made once, for they are the same in every project."""
        database = self.folder / "db.sqlite3"
        if not MIGRATED:
            self.manage("migrate", "-v0")
            MIGRATED.append(database.read_bytes())
        database.write_bytes(MIGRATED[0])

    def settings(self, text):
        (self.folder / "settings.py").write_text(dedent(SETTINGS) + dedent(text))

    def manage(self, *words, check=True):
        run = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or run.returncode == 0, run.stdout + run.stderr
        return run

    def run(self, code):
        """Run code in the project, with Django set up; what it prints last is JSON."""
        head = "import django, json, shop; django.setup(); import progflags as pf; from django.test import Client\n"
        run = subprocess.run(
            [sys.executable, "-c", head + dedent(code)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        return json.loads(run.stdout.splitlines()[-1])

    def serve(self, kind):
        env = {"DJANGO_SETTINGS_MODULE": "settings"}
        if kind == "runserver":
            port = free_port()
            return process("manage.py", "runserver", "--noreload", f"127.0.0.1:{port}", cwd=self.folder, port=port, env=env)
        if kind == "gunicorn":
            os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
            return gunicorn("wsgi", "--threads", "4", cwd=self.folder)
        port = free_port()
        return process(
            "-m", "uvicorn", "asgi:application", "--port", str(port), "--log-level", "error", cwd=self.folder, port=port, env=env
        )


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "settings")
    return Project(tmp_path)


@pytest.mark.parametrize("server", ["runserver", "gunicorn", "uvicorn"])
def test_every_kind_of_view_under_every_server(project, server):
    """Sync and async views, streams, files, failures: the user's own answers, each request told once with its arm."""
    project.migrate()
    with project.serve(server) as address, httpx.Client(base_url=address, timeout=20) as browser:
        browser.get("/start/")
        answers = {
            path: browser.get(f"/{path}/", headers={"x-user": "u1"})
            for path in ("sync_view", "async_view", "fails", "stream", "astream", "a_file")
        }
        told = browser.get("/seen/").json()

    first = answers["sync_view"].json()
    assert first == answers["async_view"].json()
    assert (first["key"], first["default"]) == ("u1", True)
    assert answers["stream"].text == answers["astream"].text == "one two"
    assert "FileResponse" in answers["a_file"].text
    assert answers["fails"].status_code == 500
    arm = "candidate" if first["checkout"] else "control"
    assert told == [[arm, path == "fails", "u1"] for path in answers]


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_a_stream_the_client_did_not_wait_for_leaves_no_user_behind(project, pieces):
    """Also when it left before the first piece: the next to use the thread is not that user. Only a whole response counts."""
    found = project.run(
        f"""
        from itertools import islice
        from wsgiref.util import setup_testing_defaults
        from django.core.wsgi import get_wsgi_application

        shop.listen()
        environ = dict(HTTP_X_USER="ann")
        setup_testing_defaults(environ)
        environ["PATH_INFO"] = "/stream/"
        response = get_wsgi_application()(environ, lambda *_: None)
        body = list(islice(response, {pieces}))
        response.close()
        print(json.dumps([b"".join(body).decode(), shop.scope() is None, len(shop.told)]))
        """
    )

    assert found[:2] == ["one two"[: 4 * pieces], True]
    assert found[2] == 0 or pieces == 3


def test_templates_decorators_and_mixins(project):
    """The tag, the processor, the decorator and the mixin agree with the client, for in and out alike."""
    found = project.run(
        """
        browser, answers = Client(), []
        for user in (f"u{i}" for i in range(24)):
            get = lambda path: browser.get(path, headers={"x-user": user})
            on, flow = pf.default().is_enabled("new-search", user), pf.default().get("checkout-flow", "classic", user)
            lines = get("/page/").content.decode().split("\\n")
            statuses = [get(path).status_code for path in ("/hidden/", "/hidden-class/", "/hidden_async/")]
            answers.append([on, flow, lines, statuses])
        print(json.dumps(answers))
        """
    )

    for on, flow, lines, statuses in found:
        word = "vectors" if on else "words"
        assert lines == [word, "fast" if flow == "fast" else "", word, flow, flow, "nothing"]
        assert statuses == [200 if on else 404] * 2 + [200 if flow == "fast" else 404]
    assert {on for on, *_ in found} == {True, False}


def test_the_default_context_is_the_signed_in_user(project):
    """Primary key and roles, in sync and async views; without a user nobody, or the sticky id where the setting asks for it."""
    project.settings('PROGFLAGS = {**PROGFLAGS, "context": None, "anonymous": True}')
    project.migrate()
    project.write("who.py", "from progflags.context import scope\nfrom django.http import JsonResponse\n\n")
    found = project.run(
        """
        import asyncio
        from django.contrib.auth.models import User
        from django.test import AsyncClient
        ann = User.objects.create_user("ann", is_staff=True)
        shop.facts = lambda request: {"key": shop.scope().context.key, **shop.scope().context.attributes}
        browser, visitor = Client(), Client()
        browser.force_login(ann)
        sync, as_async = browser.get("/sync_view/").json(), browser.get("/async_view/").json()

        async def natively():
            client = AsyncClient()
            await client.aforce_login(ann)
            return (await client.get("/async_view/")).json(), (await client.get("/sync_view/")).json()

        cookies = [visitor.get("/sync_view/").json(), visitor.get("/async_view/").json()]
        print(json.dumps([ann.pk, sync, as_async, *asyncio.run(natively()), *cookies, dict(visitor.cookies["progflags_id"])["httponly"]]))
        """
    )

    pk, *signed_in, first, second, httponly = found
    assert signed_in == [{"key": pk, "authenticated": True, "staff": True, "superuser": False, "language": "en-us"}] * 4
    assert first["key"] == second["key"]
    assert len(first["key"]) == 22
    assert first["authenticated"] is False
    assert httponly is True


def test_an_async_context_function_and_one_that_fails(project):
    """Async in async stacks; what it raises costs the targeting, not the request."""
    found = project.run(
        """
        import asyncio
        from django.test import AsyncClient
        from django.conf import settings
        from progflags.contrib.django.middleware import FlagsMiddleware

        async def look_up(request):
            await asyncio.sleep(0)
            return {"targeting_key": "async-" + request.headers["x-user"]}

        def broken(request):
            raise RuntimeError("no session")

        async def natively(function):
            settings.PROGFLAGS = {**settings.PROGFLAGS, "context": function}
            return (await AsyncClient().get("/async_view/", headers={"x-user": "u1"})).json()["key"]

        print(json.dumps([asyncio.run(natively(look_up)), asyncio.run(natively(broken))]))
        """
    )

    assert found == ["async-u1", None]


def test_checks_name_what_is_wrong(project):
    """A good project is silent; bad settings, bad files, unknown flags and a misplaced middleware are named, with file and line."""
    project.manage("check", "--fail-level", "WARNING")
    project.write("half.toml", "[flags.new-search]\n[flags.checkout-flow]\npercent = 250\n")
    project.write("shop.py", SHOP.replace('flag_required("new-search")', 'flag_required("new-serach")'))

    said = project.run(
        """
        from django.conf import settings
        from django.test import override_settings
        from progflags.contrib.django.checks import MIDDLEWARE, check

        def codes(**changes):
            with override_settings(**changes):
                return sorted(f"{message.id} {message.msg}" for message in check())

        good = settings.PROGFLAGS
        print(json.dumps({
            "typo": codes(),
            "half": codes(PROGFLAGS={**good, "source": "half.toml"}),
            "no source": codes(PROGFLAGS={"sauce": "flags.toml"}),
            "no dict": codes(PROGFLAGS="flags.toml"),
            "context": codes(PROGFLAGS={**good, "context": "shop.no_such_function"}),
            "option": codes(PROGFLAGS={**good, "pol": 1}),
            "no middleware": codes(MIDDLEWARE=[]),
            "too early": codes(MIDDLEWARE=list(reversed(settings.MIDDLEWARE))),
        }))
        """
    )

    assert [line for line in said.pop("typo")] == ["progflags.E003 shop.hidden asks for the flag 'new-serach', which no source defines"]
    assert any("progflags.W001" in line and "half.toml:3" in line for line in said.pop("half"))
    assert all("progflags.W003" in said.pop(name)[-1] for name in ("no middleware", "too early"))
    assert all("progflags.E001" in lines[0] for lines in said.values())


def test_a_file_that_cannot_be_served_stops_the_server_and_not_the_migration(project):
    """Commands that skip the checks go on; whatever would handle requests refuses, with the problem's file and line."""
    project.write("flags.toml", "[flags\n")

    assert "flags.toml:1" in project.manage("check", check=False).stderr
    project.manage("migrate", "-v0", "--skip-checks")
    run = subprocess.run(
        [sys.executable, "-c", "import wsgi"],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.returncode != 0
    assert "flags.toml:1" in run.stderr


def test_manage_py_is_the_command_line(project):
    """`manage.py progflags …` knows file and store, hands exit codes through, and is callable from code."""
    assert project.manage("progflags", "evaluate", "checkout-flow", "--key", "u1").stdout.strip().strip('"') in ("classic", "fast")
    assert project.manage("progflags", "kill", "new-search", "--reason", "smoke").returncode == 0
    found = project.run(
        """
        from django.core.management import call_command
        call_command("progflags", "validate")
        print(json.dumps([pf.default().live("new-search").killed.reason, pf.default().is_enabled("new-search", "u1")]))
        """
    )
    assert found == ["smoke", False]

    project.write("flags.toml", "[flags.new-search]\npercent = 250\n")
    assert project.manage("progflags", "validate", check=False).returncode == 2


def test_the_command_takes_options_from_code(project):
    """What `manage.py progflags` takes, `call_command` takes as well."""
    found = project.run(
        """
        from django.core.management import CommandError, call_command
        call_command("progflags", "evaluate", "checkout-flow", "--key", "u1", "--json")
        try:
            call_command("progflags", "evaluate", "checkout-flow", "--bogus")
        except (CommandError, SystemExit) as error:
            print(json.dumps(getattr(error, "returncode", None) or error.code))
        """
    )
    assert found == 2


@pytest.mark.parametrize("setting", ['{"source": {"flags": {}}}', '"flags.toml"'], ids=["no file", "no dict"])
def test_a_command_that_has_no_file_says_so_and_exits_as_documented(project, setting):
    """2 is a usage error; 1 would say that a gate failed, and a traceback would say nothing."""
    project.settings(f"PROGFLAGS = {setting}")
    run = project.manage("progflags", "validate", check=False)

    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert run.stderr.startswith("CommandError: ")


@pytest.mark.parametrize("setting", ['"stroe": 1', '"store": "bogus://x"', '"poll": -1'])
def test_a_setting_that_connect_refuses_is_a_check_and_no_traceback(project, setting):
    """A word misspelt, an address that is none: `check` names it, and commands that have nothing to do with flags still run."""
    project.settings(f'PROGFLAGS = {{"source": "flags.toml", {setting}}}')
    run = project.manage("check", check=False)

    assert "progflags.E001" in run.stderr
    assert "Traceback" not in run.stderr
    project.manage("migrate", "-v0", "--skip-checks")


def test_the_admin_page_shows_and_changes_nothing(project):
    """Superusers see every flag, its share and its kill; staff without the permission don't; no verb but GET finds a form."""
    project.migrate()
    found = project.run(
        """
        from django.contrib.auth.models import User
        boss, staff = User.objects.create_superuser("boss"), User.objects.create_user("sam", is_staff=True)
        pf.default().rollouts.start("new-checkout"); pf.default().rollouts.tick()
        pf.default().kill("new-search", reason="smoke <b>", by="ann")
        one, other = Client(), Client()
        one.force_login(boss); other.force_login(staff)
        page = one.get("/admin/progflags/flag/")
        index, staff_index = one.get("/admin/").content.decode(), other.get("/admin/").content.decode()
        print(json.dumps([page.status_code, page.content.decode(), other.get("/admin/progflags/flag/").status_code, one.get("/admin/progflags/flag/add/").status_code, "/admin/progflags/flag/" in index, "/admin/progflags/flag/" in staff_index]))
        """
    )

    status, page, staff, adding, listed, listed_for_staff = found
    assert (status, staff, adding) == (200, 403, 404)
    assert "checkout-flow" in page
    assert "50.0 %" in page
    assert "smoke &lt;b&gt; (ann)" in page
    assert "<form" not in page.split('id="content-main"')[1]
    assert (listed, listed_for_staff) == (True, False)


def test_nothing_of_ours_wants_a_migration(project):
    """The page has no table behind it: `makemigrations --check` has nothing to say."""
    project.manage("makemigrations", "--check", "--dry-run")


def test_override_flag_in_tests(project):
    """Context manager, function and class decorator, sync and async; undone afterwards."""
    project.write(
        "tests.py",
        """
        from django.test import AsyncClient, Client, SimpleTestCase
        from progflags.contrib.django.testing import override_flag
        import progflags as pf

        def search(client=None):
            return (client or Client()).get("/sync_view/", headers={"x-user": "u1"}).json()["search"]

        class Functions(SimpleTestCase):
            def test_block(self):
                before = search()
                with override_flag("new-search", not before):
                    self.assertIs(search(), not before)
                    with override_flag("new-search", active=before):
                        self.assertIs(search(), before)
                    self.assertIs(search(), not before)
                self.assertIs(search(), before)

            @override_flag("new-search", "on")
            def test_on(self):
                self.assertIs(search(), True)

            @override_flag("new-search", False)
            async def test_off(self):
                response = await AsyncClient().get("/async_view/", headers={"x-user": "u1"})
                self.assertIs(response.json()["search"], False)

        @override_flag("checkout-flow", "fast")
        class Whole(SimpleTestCase):
            def setUp(self):
                self.assertEqual(pf.default().get("checkout-flow", "?", "u1"), "fast")

            def test_one(self):
                self.assertEqual(pf.default().get("checkout-flow", "?", "u2"), "fast")
        """,
    )

    assert "Ran 4 tests" in project.manage("test").stderr


def test_changed_settings_connect_anew(project):
    """`override_settings(PROGFLAGS=…)` gives the test another client, and the project's own back."""
    found = project.run(
        """
        from django.test import override_settings
        from progflags.contrib.django import client
        own = client()
        with override_settings(PROGFLAGS={"source": {"flags": {"only-here": {"percent": 100}}}, "poll": None}):
            there = [client() is own, client().is_enabled("only-here", "u")]
        print(json.dumps([*there, client().is_enabled("only-here", "u"), pf.default() is client()]))
        """
    )

    assert found == [False, True, False, True]


def test_waffles_tables_become_a_flag_file(project):
    """Real django-waffle rows, imported: whoever waffle let in by user, role, language or switch is in; shares keep their size."""
    project.settings('INSTALLED_APPS += ["waffle"]')
    project.manage("migrate", "-v0")
    found = project.run(
        """
        from django.contrib.auth.models import Group, User
        from django.core.management import call_command
        from django.test import RequestFactory
        from io import StringIO
        from waffle.models import Flag, Sample, Switch
        from waffle import flag_is_active
        ann, bob, eve = (User.objects.create_user(name) for name in ("ann", "bob", "eve"))
        boss = User.objects.create_superuser("boss")
        editors = Group.objects.create(name="editors \\"special\\"")
        bob.groups.add(editors)
        Flag.objects.create(name="everyone", everyone=True, note='two\\nlines "quoted" \\\\ back')
        Flag.objects.create(name="nobody", everyone=False, percent=50)
        Flag.objects.create(name="supers", superusers=True)
        Flag.objects.create(name="signed in", authenticated=True, superusers=False)
        Flag.objects.create(name="polish", languages="pl, de", superusers=False)
        people = Flag.objects.create(name="people", superusers=False, percent="12.5")
        people.users.add(ann); people.groups.add(editors)
        Switch.objects.create(name="sw-on", active=True); Switch.objects.create(name="sw-off", active=False)
        Sample.objects.create(name="sample", percent="33.3")
        Flag.objects.create(name="tenth", percent="0.1", superusers=False)
        out = StringIO(); call_command("progflags_from_waffle", stdout=out)
        open("imported.toml", "w").write(out.getvalue())
        from progflags.contrib.django.middleware import _of_user
        with pf.connect("imported.toml", poll=None) as flags:
            assert not flags.status().rejected, flags.status().rejected
            differing = []
            for user in (ann, bob, eve, boss):
                request = RequestFactory().get("/"); request.user = user
                context = pf.Context(user.pk, {**_of_user(user).attributes, "groups": [group.name for group in user.groups.all()]})
                for name in ("everyone", "nobody", "supers", "signed in", "polish"):
                    if bool(flag_is_active(request, name)) != flags.is_enabled(name, context):
                        differing.append([user.username, name])
                if user in (ann, bob) and not flags.is_enabled("people", context):
                    differing.append([user.username, "people"])
            shares = [sum(flags.is_enabled(name, f"x{i}") for i in range(20_000)) / 200 for name in ("people", "sample", "tenth")]
            polish = flags.is_enabled("polish", pf.Context("x", {"language": "pl"}))
            print(json.dumps([differing, shares, polish, flags.is_enabled("sw-on", "x"), flags.is_enabled("sw-off", "x")]))
        """
    )

    differing, shares, polish, on, off = found
    assert differing == []
    assert shares == pytest.approx([12.5, 33.3, 0.1], abs=1)
    assert (polish, on, off) == (True, True, False)


def test_without_waffle_the_import_says_so(project):
    project.migrate()

    run = project.manage("progflags_from_waffle", check=False)

    assert run.returncode != 0
    assert "no tables of django-waffle" in run.stderr
