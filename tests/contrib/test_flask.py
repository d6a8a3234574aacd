"""Flask: one extension; context from the session, counts, templates, the command line."""

import httpx
import pytest
from flask import Flask, g, render_template_string, request, session

import progflags as pf
from progflags.context import scope
from progflags.contrib.flask import Progflags
from progflags.events import Served
from progflags.flags import given, set_default
from support.clients import heard
from support.web import wsgi_server

TOML = """
[flags.new-search]
percent = 25

[flags.new-checkout.rollout]
stages = [{ percent = 50, bake = "1m" }]
"""


SOURCE = {"flags": {"on": {"percent": 100}}}


def test_a_missing_secret_key_is_said_and_not_passed_over():
    """Without it nobody would get an id, and every visitor would be drawn anew at each request."""
    app = Flask(__name__)
    app.config["PROGFLAGS"] = {"source": SOURCE, "poll": None, "anonymous": True}

    with pytest.raises(RuntimeError, match="SECRET_KEY"):
        Progflags(app)
    set_default(None)


@pytest.mark.parametrize(("key", "kept"), [(0, True), (7, True), ("ann", True), ("", False), (None, False)])
def test_a_user_whose_key_is_zero_is_a_user(key, kept):
    app = Flask(__name__)
    app.secret_key = "a-secret-that-is-long-enough"
    app.config["PROGFLAGS"] = {"source": SOURCE, "poll": None, "anonymous": True}
    Progflags(app, context=lambda: pf.Context(key))
    app.add_url_rule("/", view_func=lambda: {"key": scope().context.key})

    seen = app.test_client().get("/").json["key"]

    assert (seen == key) is kept
    assert seen not in (None, "")
    app.extensions["progflags"].close()
    set_default(None)


@pytest.fixture
def app(tmp_path):
    (tmp_path / "flags.toml").write_text(TOML)
    app = Flask(__name__)
    app.secret_key = "a-secret-that-is-long-enough"
    app.config["PROGFLAGS"] = {
        "source": str(tmp_path / "flags.toml"),
        "store": f"sqlite:///{tmp_path}/p.db",
        "poll": None,
        "anonymous": True,
    }

    @app.before_request
    def sign_in():
        g.user = request.headers.get("x-user")

    extension = Progflags(context=lambda: pf.Context(g.user, {"path": request.path}))
    extension.init_app(app)
    app.extension = extension

    @app.get("/")
    def shop():
        return {"search": extension.client.is_enabled("new-search"), "checkout": extension.client.is_enabled("new-checkout")}

    @app.get("/fails")
    def fails():
        extension.client.is_enabled("new-checkout")
        raise RuntimeError("boom")

    @app.get("/page")
    def page():
        return render_template_string("{% if flag('new-search') %}vectors{% else %}words{% endif %} {{ flag('nothing', 'fallback') }}")

    yield app
    app.extensions["progflags"].close()
    set_default(None)


def test_views_ask_for_the_user_of_the_request(app):
    """The context function runs inside the request, after sign-in; the extension's client is the default one."""
    client = app.extensions["progflags"]

    with wsgi_server(app) as address, httpx.Client(base_url=address) as browser:
        answers = [browser.get("/", headers={"x-user": f"u{i}"}).json()["search"] for i in range(30)]

    assert answers == [client.is_enabled("new-search", f"u{i}") for i in range(30)]
    assert given(None) is client


def test_requests_are_counted_and_a_500_is_a_failure(app):
    client = app.extensions["progflags"]
    client.rollouts.start("new-checkout")
    client.rollouts.tick()
    told = heard(client, Served)

    with wsgi_server(app) as address, httpx.Client(base_url=address, headers={"x-user": "u1"}) as browser:
        assert [browser.get(path).status_code for path in ("/", "/fails", "/page")] == [200, 500, 200]

    assert [(event.failed, event.unit) for event in told] == [(False, b"u1"), (True, b"u1")]


def test_templates_have_flag(app):
    client = app.extensions["progflags"]

    with app.test_client() as browser:
        pages = [browser.get("/page", headers={"x-user": f"u{i}"}).text for i in range(20)]

    assert pages == [("vectors" if client.is_enabled("new-search", f"u{i}") else "words") + " fallback" for i in range(20)]


def test_a_visitor_nobody_knows_keeps_an_id(app):
    """No user: the signed cookie's id is the targeting key, and the context function's attributes are there too."""
    from progflags.context import scope

    met = []
    app.add_url_rule("/who", view_func=lambda: met.append(scope().context) or "")

    with app.test_client() as browser:
        for _ in range(2):
            browser.get("/who")

    assert met[0].key == met[1].key
    assert len(met[0].key) == 22
    assert met[0].attributes["path"] == "/who"


def test_a_context_function_that_fails_costs_the_targeting_not_the_request(tmp_path):
    app = Flask(__name__)
    with pf.connect({"flags": {"new-search": {"percent": 100}}}, poll=None) as client:
        extension = Progflags(app, flags=client, context=lambda: 1 / 0)
        app.add_url_rule("/", view_func=lambda: str(extension.client.is_enabled("new-search")))

        with app.test_client() as browser:
            assert browser.get("/").text == "True"


def test_the_command_line_knows_the_applications_file(app, tmp_path):
    """`flask progflags …` is progflags with `--flags` and `--store` filled in; its exit code is the program's."""
    run = app.test_cli_runner().invoke

    evaluated = run(args=["progflags", "evaluate", "new-search", "--key", "u1"])
    assert evaluated.exit_code == 0
    assert evaluated.output.strip().lower() == str(app.extensions["progflags"].is_enabled("new-search", "u1")).lower()

    (tmp_path / "flags.toml").write_text("[flags.new-search]\npercent = 250\n")
    assert run(args=["progflags", "validate"]).exit_code == 2


def test_an_application_says_which_environment_it_is_in(tmp_path):
    """To its client, and to its command line."""
    (tmp_path / "flags.toml").write_text("[flags.a]\n[environments.staging.flags.a]\npercent = 100\n")
    app = Flask(__name__)
    app.config["PROGFLAGS"] = {"source": tmp_path / "flags.toml", "environment": "staging", "poll": None}
    Progflags(app)
    try:
        assert app.extensions["progflags"].is_enabled("a", "u1")
        assert app.test_cli_runner().invoke(args=["progflags", "evaluate", "a", "--key", "u1"]).output == "true\n"
    finally:
        app.extensions["progflags"].close()
        set_default(None)


def test_without_a_source_it_says_what_to_do():
    with pytest.raises(RuntimeError, match=r'app.config\["PROGFLAGS"\]'):
        Progflags(Flask(__name__))


def test_a_rotated_secret_key_keeps_the_visitors():
    """Flask has had SECRET_KEY_FALLBACKS since 3.1: who was signed under an older key is still known, and signed anew."""

    def an_app(key, *older):
        app = Flask(__name__)
        app.secret_key = key
        app.config["SECRET_KEY_FALLBACKS"] = list(older)
        app.config["PROGFLAGS"] = {"anonymous": True}
        with pf.connect(SOURCE, poll=None) as client:
            Progflags(app, flags=client)
        app.add_url_rule("/", view_func=lambda: {"key": scope().context.key})
        return app.test_client(use_cookies=False)

    old, new = "the-first-key-of-this-shop", "the-second-key-of-this-shop"
    first = an_app(old).get("/")
    cookie = first.headers["Set-Cookie"].partition(";")[0]
    rotated = an_app(new, old).get("/", headers={"Cookie": cookie})

    assert rotated.json == first.json
    assert "Set-Cookie" in rotated.headers
    assert an_app(new).get("/", headers={"Cookie": cookie}).json != first.json


def test_a_page_that_asks_no_flag_asks_nobody_and_sets_no_cookie(app):
    """The context function is called when a flag is asked for, then the session and `g` of the request are there; else never."""
    asked = []
    app.extension._context = lambda: asked.append(request.path) or pf.Context(session.get("user"))
    app.add_url_rule("/style.css", view_func=lambda: "body {}")

    with app.test_client() as browser:
        style = browser.get("/style.css")
        before = list(asked)
        shop, again = browser.get("/"), browser.get("/")

    assert before == []
    assert not {"Vary", "Set-Cookie"} & set(style.headers.keys())
    assert ("Cookie" in shop.headers["Vary"], "progflags_id" in shop.headers["Set-Cookie"]) == (True, True)
    assert ("Cookie" in again.headers["Vary"], "Set-Cookie" in again.headers) == (True, False)
    assert shop.json == again.json
    assert asked == ["/", "/"]
