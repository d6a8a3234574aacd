"""Django: each test is a project of its own, in a process of its own, because Django is configured once per process."""

import json
import os
import shutil
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

    [flags.shadowed]
    percent = 100

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
        shutil.rmtree(
            self.folder / "__pycache__", ignore_errors=True
        )  # a module of the same second and length would be taken for the old one

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
    with project.serve(server) as address, httpx.Client(base_url=address, timeout=60) as browser:
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


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_the_whole_template_names_the_endpoint_for_a_dark_launch(project, kind):
    """`include()` and mounts belong to it, the values of parameters never; a path that no pattern has is not told."""
    project.write(
        "urls.py",
        """
        from itertools import count
        from django.http import JsonResponse
        from django.urls import include, path, re_path
        numbers = count()

        def user(request, id=0, shop=""):
            return JsonResponse({"n": next(numbers)})

        inner = [path("<int:id>/", user), re_path(r"^by-(?P<id>[0-9]+)$", user)]
        urlpatterns = [path("users/", include(inner)), path("shops/<slug:shop>/", include([path("users/", include(inner))])), path("", user)]
        """,
    )
    found = project.run(
        f"""
        import asyncio
        kind, paths = {kind!r}, ["/users/7/", "/shops/acme/users/7/", "/users/by-8", "/", "/nothing/4111"]
        flags = pf.default()
        if kind == "wsgi":
            from wsgiref.util import setup_testing_defaults
            from django.core.wsgi import get_wsgi_application
            from progflags.wsgi import DarkLaunchMiddleware
            django_app = get_wsgi_application()
            def mounts(environ, start):
                for mount in ("/api", "/acme"):
                    if environ["PATH_INFO"].startswith(mount + "/"):
                        environ["SCRIPT_NAME"], environ["PATH_INFO"] = mount, environ["PATH_INFO"][len(mount):]
                return django_app(environ, start)
            app = DarkLaunchMiddleware(mounts, flag="shadowed", candidate=mounts, flags=flags, executor="inline")
            def ask(path):
                environ = dict(PATH_INFO=path)
                setup_testing_defaults(environ)
                body = app(environ, lambda *_: None)
                list(body), body.close()
        else:
            import httpx
            from django.core.asgi import get_asgi_application
            from progflags.asgi import DarkLaunchMiddleware
            from starlette.applications import Starlette
            from starlette.routing import Mount
            mounts = Starlette(routes=[Mount("/api", get_asgi_application()), Mount("/t/{{tenant}}", get_asgi_application()), Mount("/", get_asgi_application())])
            app = DarkLaunchMiddleware(mounts, flag="shadowed", candidate=mounts, flags=flags, executor="inline")
            async def get(path):
                async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as client:
                    await client.get(path)
            def ask(path):
                asyncio.run(get(path))
            paths.append("/t/acme/users/7/")
        answers = []
        for path in [*paths, "/api/users/7/"]:
            before = {{(c["endpoint"], c["path"]): c["count"] for c in app.dark_launch.report()["causes"]}}
            ask(path)
            answers += [(path, c["endpoint"]) for c in app.dark_launch.report()["causes"] if before.get((c["endpoint"], c["path"]), 0) < c["count"]]
        print(json.dumps(answers))
        """
    )
    whole = {
        "/users/7/": "/users/<int:id>/",
        "/shops/acme/users/7/": "/shops/<slug:shop>/users/<int:id>/",
        "/users/by-8": "/users/by-(?P<id>[0-9]+)$",
        "/": "/",
        "/api/users/7/": "/api/users/<int:id>/",
    }
    if kind == "asgi":
        whole["/t/acme/users/7/"] = "/t/{tenant}/users/<int:id>/"
    assert dict(found) == whole


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
        from asgiref.sync import sync_to_async
        from django.contrib.auth.models import User
        from django.test import AsyncClient
        ann = User.objects.create_user("ann", is_staff=True)
        shop.facts = lambda request: {"key": shop.scope().context.key, **shop.scope().context.attributes}
        browser, visitor = Client(), Client()
        browser.force_login(ann)
        sync, as_async = browser.get("/sync_view/").json(), browser.get("/async_view/").json()

        async def natively():
            client = AsyncClient()
            await sync_to_async(client.force_login)(ann)
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
    project.write("late.toml", "[flags.new-search]\n[flags.checkout-flow.rollout]\nwindows = [{ to = '24:00' }]\n")
    project.write("shop.py", SHOP.replace('flag_required("new-search")', 'flag_required("new-serach")'))

    said = project.run(
        """
        from django.conf import settings
        from django.test import override_settings
        from progflags.contrib.django.checks import MIDDLEWARE, check

        def codes(**changes):
            with override_settings(**changes):
                return sorted(f"{message.id} {message.msg} ({message.hint})" for message in check())

        good = settings.PROGFLAGS
        print(json.dumps({
            "typo": codes(),
            "half": codes(PROGFLAGS={**good, "source": "half.toml"}),
            "late": codes(PROGFLAGS={**good, "source": "late.toml"}),
            "no source": codes(PROGFLAGS={"sauce": "flags.toml"}),
            "no dict": codes(PROGFLAGS="flags.toml"),
            "context": codes(PROGFLAGS={**good, "context": "shop.no_such_function"}),
            "option": codes(PROGFLAGS={**good, "pol": 1}),
            "no middleware": codes(MIDDLEWARE=[]),
            "too early": codes(MIDDLEWARE=list(reversed(settings.MIDDLEWARE))),
        }))
        """
    )

    (typo,) = said.pop("typo")
    assert typo == "progflags.E003 shop.hidden asks for the flag 'new-serach', which no source defines (did you mean 'new-search'?)"
    assert any("progflags.W004" in line and "late.toml:3" in line and "24:00" in line for line in said.pop("late"))
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


def test_without_the_consoles_packages_the_admin_page_shows_and_changes_nothing(project):
    """Superusers see every flag, its share and its kill; staff without the permission don't; no verb but GET finds a form."""
    project.migrate()
    found = project.run(
        """
        from progflags.contrib.django import admin as ours
        ours.find_spec = lambda name: None
        from django.contrib.auth.models import User
        boss, staff = User.objects.create_superuser("boss"), User.objects.create_user("sam", is_staff=True)
        pf.default().rollouts.start("new-checkout"); pf.default().rollouts.tick()
        pf.default().kill("new-search", reason="smoke <b>", by="ann")
        one, other = Client(), Client()
        one.force_login(boss); other.force_login(staff)
        page = one.get("/admin/progflags/flag/")
        index, staff_index = one.get("/admin/").content.decode(), other.get("/admin/").content.decode()
        pf.default().kill("new-checkout"); pf.default().panic(reason="all is lost", by="bob")
        stopped = one.get("/admin/progflags/flag/").content.decode()
        print(json.dumps([page.status_code, page.content.decode(), other.get("/admin/progflags/flag/").status_code, one.get("/admin/progflags/flag/add/").status_code, "/admin/progflags/flag/" in index, "/admin/progflags/flag/" in staff_index, stopped]))
        """
    )

    status, page, staff, adding, listed, listed_for_staff, stopped = found
    assert "panic" not in page.split('id="content-main"')[1]
    assert "panic by bob: all is lost" in stopped
    assert ">panic, ramping" in stopped
    assert (status, staff, adding) == (200, 403, 404)
    assert "checkout-flow" in page
    assert "50.0 %" in page
    assert "smoke &lt;b&gt; (ann)" in page
    assert "<form" not in page.split('id="content-main"')[1]
    assert (listed, listed_for_staff) == (True, False)


def test_the_console_is_in_the_admin(project):
    """Who may view flags looks; changing and approving are permissions of their own, and the user's name is in the history."""
    project.migrate()
    found = project.run(
        """
        from django.contrib.auth.models import User
        import re
        boss, staff, operator = User.objects.create_superuser("boss"), User.objects.create_user("sam", is_staff=True), User.objects.create_user("otto", is_staff=True)
        boss_, staff_, otto_ = Client(enforce_csrf_checks=True), Client(), Client()
        boss_.force_login(boss); staff_.force_login(staff)
        pf.default().rollouts.start("new-checkout", by="ann")
        base = "/admin/progflags/flag/"
        seen = {}
        for page in ("", "rollout?flag=new-checkout", "flags", "flag?flag=new-search", "changes", "dark-launches", "fleet", "static/console.css", "static/report.css", "nothing", "rollout?flag=nothing", "act/kill"):
            got = boss_.get(base + page)
            seen[page] = [got.status_code, got.headers.get("Content-Security-Policy", "")[:18], staff_.get(base + page).status_code]
        page = boss_.get(base + "rollout?flag=new-checkout").content.decode()
        token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
        version = re.search('name="seen" value="([^"]+)"', page)[1]
        form = {"flag": "new-checkout", "reason": "it is bad", "seen": version}
        forged = boss_.post(base + "act/rollback", form).status_code
        nobody = staff_.post(base + "act/rollback", form).status_code
        done = boss_.post(base + "act/rollback", {**form, "csrfmiddlewaretoken": token})
        again = boss_.post(base + "act/promote", {**form, "csrfmiddlewaretoken": token, "confirm": "new-checkout"}).status_code
        why = boss_.post(base + "flag", {"flag": "new-search", "key": "u1", "csrfmiddlewaretoken": token}).content.decode()
        steps = [(step.actor, str(step.target)) for step in pf.default().rollouts.history("new-checkout")]
        print(json.dumps([seen, forged, nobody, [done.status_code, done.headers["Location"]], again, "bucket" in why, steps]))
        """
    )

    seen, forged, nobody, done, again, explained, steps = found
    policy = "default-src 'none'"
    pages = [page for page in seen if page not in ("nothing", "rollout?flag=nothing", "act/kill")]
    assert [seen[page] for page in pages] == [[200, policy, 403]] * len(pages)
    assert [seen[page][0] for page in ("nothing", "rollout?flag=nothing", "act/kill")] == [404] * 3
    assert (forged, nobody, again, explained) == (403, 403, 409, True)
    assert done == [302, "/admin/progflags/flag/rollout?flag=new-checkout"]
    assert ["boss", "rolling_back"] in steps


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
        from progflags.contrib.django.middleware import default_context
        with pf.connect("imported.toml", poll=None) as flags:
            assert not flags.status().rejected, flags.status().rejected
            differing = []
            for user in (ann, bob, eve, boss):
                request = RequestFactory().get("/"); request.user = user
                context = pf.Context(user.pk, {**default_context(request).attributes, "groups": [group.name for group in user.groups.all()]})
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


IDENTITY = """
    import asyncio
    from asgiref.sync import sync_to_async
    from django.contrib.auth.models import User
    from django.db import connection
    from django.http import FileResponse, HttpResponse, StreamingHttpResponse
    from django.test import AsyncClient
    from django.test.utils import CaptureQueriesContext
    from django.urls import path
    from django.views.decorators.cache import cache_page
    import shop, urls

    def plain(request):
        return HttpResponse("plain")

    async def aplain(request):
        return HttpResponse("plain")

    def fixed(request):
        return HttpResponse(str(request.flags.is_enabled("everybody")))

    def asks(request):
        return HttpResponse(str([shop.scope().context.key, request.flags.is_enabled("new-search")]))

    async def aasks(request):
        return HttpResponse(str([shop.scope().context.key, request.flags.is_enabled("new-search")]))

    async def awaits(request):
        if hasattr(request, "auser"):  # since Django 5.0
            await request.auser()
        return HttpResponse(str([shop.scope().context.key, request.flags.is_enabled("new-search")]))

    def styles(request):
        return FileResponse(open(shop.__file__, "rb"))

    views = (plain, aplain, fixed, asks, aasks, awaits, styles)
    urls.urlpatterns += [path(f"{view.__name__}/", view) for view in views]
    urls.urlpatterns += [path(f"cached_{view.__name__}/", cache_page(60)(view)) for view in (plain, fixed, asks)]

    def facts(response, names=("Vary", "Set-Cookie", "Cache-Control")):
        said = {name: response.get(name) for name in names if response.get(name)}
        return {**said, "cookies": sorted(response.cookies)}

    def visit(client, page):
        with CaptureQueriesContext(connection) as asked:
            response = client.get(f"/{page}/")
        return response, len(asked)
"""


def with_identity(project, anonymous=True):
    project.settings(f'PROGFLAGS = {{**PROGFLAGS, "context": None, "anonymous": {anonymous}}}')
    project.write("flags.toml", FLAGS + "\n[flags.everybody]\npercent = 100\n")
    project.write("pages.py", IDENTITY)
    project.migrate()


def test_a_page_that_asks_no_flag_is_the_same_with_and_without_the_middleware(project):
    """Same headers, cookies and queries, for visitors and for who is signed in, in sync and async stacks; also for a flag that is all's."""
    with_identity(project)
    found = project.run(
        """
        from pages import *
        from django.conf import settings
        ann = User.objects.create_user("ann")
        pages = ["plain", "aplain", "fixed", "styles"]

        def look():
            visitor, signed_in = Client(), Client()
            signed_in.force_login(ann)
            return [[facts(response), queries] for client in (visitor, signed_in) for page in pages for response, queries in [visit(client, page)]]

        async def alook():
            visitor, signed_in = AsyncClient(), AsyncClient()
            await sync_to_async(signed_in.force_login)(ann)
            return [facts(await client.get(f"/{page}/")) for client in (visitor, signed_in) for page in pages]

        def both():
            return [look(), asyncio.run(alook())]

        with_us = both()
        urls.urlpatterns[-3 - len(views) + 2].callback = plain  # nobody puts request.flags there without us
        settings.MIDDLEWARE = settings.MIDDLEWARE[:-1]
        print(json.dumps([with_us, both()]))
        """
    )

    assert found[0] == found[1]
    assert [queries for _, queries in found[0][0]] == [0] * 8
    assert not any("Vary" in said or said["cookies"] for said, _ in found[0][0])


def test_who_is_signed_in_is_found_out_when_a_flag_is_asked(project):
    """In sync and async views, natively and through the other stack, awaited before or not, at the first visit and at later ones."""
    with_identity(project)
    found = project.run(
        """
        from pages import *
        from progflags._trouble import counts
        ann = User.objects.create_user("ann")
        client = Client()
        client.force_login(ann)
        sync = [[*map(str, (response.content.decode(), response["Vary"])), sorted(response.cookies)]
            for page in ("asks", "aasks", "awaits") * 2 for response, _ in [visit(client, page)]]

        async def natively():
            browser = AsyncClient()
            await sync_to_async(browser.force_login)(ann)
            answers = [await browser.get(f"/{page}/") for page in ("asks", "aasks", "awaits") * 3]
            return [[answer.content.decode(), answer["Vary"], sorted(answer.cookies)] for answer in answers]

        answer = str([ann.pk, pf.default().is_enabled("new-search", str(ann.pk))])
        print(json.dumps([answer, *sync, *asyncio.run(natively()), counts()]))
        """
    )

    answer, *pages, counts = found
    assert pages == [[answer, "Cookie", []]] * 15
    assert "FlagsMiddleware context" not in counts


def test_an_async_view_waits_for_nobody_it_can_await(project):
    """The event loop waits for the database at the first request to a view; at later ones the user is awaited before the view runs."""
    with_identity(project)
    found = project.run(
        """
        from pages import *
        from progflags.contrib.django import _who
        ann = User.objects.create_user("ann")
        blocked, inner = [], _who._in_its_thread
        _who._in_its_thread = lambda ask, request: blocked.append(request.path) or inner(ask, request)

        async def natively():
            browser = AsyncClient()
            await sync_to_async(browser.force_login)(ann)
            return [(await browser.get(f"/{page}/")).content.decode() for page in ("aasks", "aasks", "awaits", "aplain", "aasks")]

        answers = asyncio.run(natively())
        print(json.dumps([blocked, len({answers[at] for at in (0, 1, 2, 4)})]))
        """
    )

    blocked, answers = found
    assert blocked[0] == "/aasks/"
    assert blocked[1:] in ([], ["/awaits/"])  # before Django 5.0 there is no `request.auser()` to await
    assert answers == 1


def test_twenty_new_visitors_behind_a_cache_never_share_a_page_that_depended_on_a_flag(project):
    """With Django's cache for the whole site, or for one view; whatever other cookie they all have. The other pages are shared."""
    with_identity(project)
    found = project.run(
        """
        from pages import *
        from django.conf import settings
        from django.core.cache import cache
        from ast import literal_eval

        def visitors(page, cookies):
            seen = []
            for _ in range(20):
                browser = Client()
                browser.cookies.load(cookies)
                first, again = browser.get(f"/{page}/"), browser.get(f"/{page}/")
                assert first.content == again.content
                seen.append(first)
            return seen

        def look(pages):
            found = {}
            for cookies in ("", "consent=1"):
                for page in pages:
                    cache.clear()
                    answers = visitors(page, {} if not cookies else cookies)
                    found[f"{page} {cookies}"] = [len({a.content for a in answers}), sum("progflags_id" in a.cookies for a in answers)]
            return found

        inside = look(["cached_asks", "cached_plain", "cached_fixed"])
        whole = ["django.middleware.cache.UpdateCacheMiddleware", *settings.MIDDLEWARE, "django.middleware.cache.FetchFromCacheMiddleware"]
        settings.MIDDLEWARE = whole
        around = look(["asks", "plain", "fixed", "cached_asks"])
        cache.clear()
        shared = [len(cache._cache)]
        Client().get("/plain/")
        shared.append(len(cache._cache))
        print(json.dumps([inside, around, shared]))
        """
    )

    inside, around, (before, after) = found
    for seen in (inside, around):
        for page, (answers, cookies) in seen.items():
            assert (answers, cookies) == ((20, 20) if "asks" in page else (1, 0)), page
    assert after > before  # a page that asks nothing is cached


def test_what_a_user_cannot_say_costs_that_alone(project):
    """A model without `is_staff`, one that raises, one that has no primary key: still the user, and the rest is told."""
    found = project.run(
        """
        from types import SimpleNamespace
        from progflags.contrib.django.middleware import default_context

        class Broken(SimpleNamespace):
            @property
            def is_staff(self):
                raise RuntimeError("roles are down")

        users = [
            SimpleNamespace(pk=7, is_authenticated=True, is_superuser=True),
            Broken(pk="u-1", is_authenticated=True, is_superuser=False),
            SimpleNamespace(is_authenticated=True, is_staff=True),
            SimpleNamespace(pk=8),
            None,
        ]
        contexts = [default_context(SimpleNamespace(user=user)) for user in users]
        print(json.dumps([[context.key, *(context.attributes[name] for name in ("authenticated", "staff", "superuser"))] for context in contexts]))
        """
    )

    assert found == [
        [7, True, False, True],
        ["u-1", True, False, False],
        [None, True, True, False],
        [None, False, False, False],
        [None, False, False, False],
    ]


def test_a_visitor_who_first_asks_in_a_stream_gets_no_id(project):
    """The head is out by then; the page is served, to nobody in particular."""
    with_identity(project)
    found = project.run(
        """
        from pages import *
        response = Client().get("/stream/")
        print(json.dumps([b"".join(response.streaming_content).decode(), facts(response)]))
        """
    )

    assert found == ["one two", {"cookies": []}]
