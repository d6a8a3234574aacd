"""The WSGI door keeps PEP 3333: lists, `write`, `exc_info`, `close`, late starts and file wrappers mean what they meant."""

import io
import json
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from progflags.darklaunch import shadow
from progflags.flags import force
from progflags.wsgi import DarkLaunchMiddleware


def json_app(value, status="200 OK"):
    def app(environ, start_response):
        answer = value(environ) if callable(value) else value
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    return app


def environ(method="GET", path="/", body=b"", **more):
    given = {}
    setup_testing_defaults(given)
    given |= {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body), "QUERY_STRING": ""}
    if body:
        given["CONTENT_LENGTH"] = str(len(body))
    return given | more


def ask(app, request=None, *, close=True):
    """Drive an application as a server does: (status, headers, body, the iterable it returned)."""
    said, written = [], []

    def start(status, headers, exc_info=None):
        if exc_info and said and written:
            raise exc_info[1]
        said[:] = [status, headers]
        return written.append

    result = app(request or environ(), start)
    try:
        written.extend(result)
    finally:
        if close and hasattr(result, "close"):
            result.close()
    return said[0], said[1], b"".join(written), result


@pytest.fixture
def launched(flags, engine):
    def make(app, candidate, flag="on", **options):
        return DarkLaunchMiddleware(app, flag=flag, candidate=candidate, flags=flags, **options)

    return make


class Closing:
    def __init__(self, parts):
        self.parts = iter(parts)
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.parts)

    def close(self):
        self.closed += 1


def writes(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"written ")
    return [b"returned"]


def generates(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"a"
    yield b"b"


def starts_late(environ, start_response):
    def parts():
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"late"

    return parts()


def changes_its_mind(environ, start_response):
    import sys

    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        raise ValueError("x")
    except ValueError:
        start_response("500 Oops", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"sorry"]


@pytest.mark.parametrize("app", [writes, generates, starts_late, changes_its_mind, json_app({"a": 1})])
@pytest.mark.parametrize("executor", ["thread", "inline"])
def test_every_way_of_answering_passes_unchanged_and_is_compared(app, executor, launched):
    middleware = launched(app, app, executor=executor)

    assert ask(middleware)[:3] == ask(app)[:3]
    assert middleware.dark_launch.drain()
    assert middleware.dark_launch.stats().outcomes["match"] == 1, middleware.dark_launch.stats()


@pytest.mark.parametrize("app", [writes, generates, json_app({"a": 1})])
def test_both_sides_are_valid_wsgi(app, launched):
    """The validator in front of us, behind us, and around the candidate."""
    middleware = launched(validator(app), validator(app))

    ask(validator(middleware))

    assert middleware.dark_launch.drain()
    stats = middleware.dark_launch.stats()
    assert stats.outcomes["match"] == 1, stats


def test_a_list_stays_the_very_list(launched):
    """Servers compute Content-Length from a one-element list."""
    answer = [b"x"]

    def app(environ, start_response):
        start_response("200 OK", [])
        return answer

    assert ask(launched(app, app))[3] is answer


def test_close_closes_what_the_application_returned_once_and_then_the_shadow_begins(launched):
    made = []

    def app(environ, start_response):
        start_response("200 OK", [])
        made.append(Closing([b"a", b"b"]))
        return made[-1]

    middleware = launched(app, app)
    result = ask(middleware)[3]
    result.close()

    assert middleware.dark_launch.drain()
    assert [each.closed for each in made] == [1, 1]
    assert middleware.dark_launch.stats().outcomes["match"] == 1


def test_a_response_the_client_did_not_read_is_not_compared(launched):
    middleware = launched(generates, generates)
    result = middleware(environ(), lambda *_: None)
    next(iter(result))
    result.close()

    assert middleware.dark_launch.stats().outcomes["incomplete"] == 1


def test_a_file_wrapper_is_handed_on(launched):
    def app(environ, start_response):
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"file"))

    middleware = launched(app, app)
    result = middleware(environ(**{"wsgi.file_wrapper": FileWrapper}), lambda *_: None)

    assert type(result) is FileWrapper
    assert middleware.dark_launch.stats().outcomes["incomplete"] == 1


@pytest.mark.parametrize(
    "read",
    [
        lambda stream: stream.read(),
        lambda stream: stream.read(5),
        lambda stream: b"".join(iter(lambda: stream.read(2), b"")),
        lambda stream: b"".join(stream.readlines()),
        lambda stream: b"".join(stream),
        lambda stream: stream.readline() + stream.readline(),
    ],
)
def test_the_candidate_gets_the_body_the_application_read(read, launched):
    bodies = []

    def app(environ, start_response):
        bodies.append(read(environ["wsgi.input"]))
        return json_app({})(environ, start_response)

    middleware = launched(app, app, methods=["POST"])
    ask(middleware, environ("POST", body=b"a\nbcd"))

    assert middleware.dark_launch.drain()
    assert bodies == [b"a\nbcd", b"a\nbcd"]


def test_a_body_not_read_is_not_replayed(launched):
    middleware = launched(json_app({}), json_app({}), methods=["POST"])
    ask(middleware, environ("POST", body=b"abc"))

    assert middleware.dark_launch.stats().outcomes["incomplete"] == 1


def test_the_candidate_gets_nothing_of_the_servers(launched):
    seen = []

    def app(environ, start_response):
        if shadow.active():
            seen.append(environ)
        return json_app({})(environ, start_response)

    errors = io.StringIO()
    middleware = launched(app, app)
    ask(middleware, environ(**{"gunicorn.socket": object(), "wsgi.errors": errors}))

    assert middleware.dark_launch.drain()
    assert "gunicorn.socket" not in seen[0]
    assert seen[0]["wsgi.errors"] is not errors
    assert seen[0]["HTTP_PROGFLAGS_SHADOW"].startswith("on;")


def test_a_forced_flag_runs_the_same_application_with_it(launched, flags):
    app = json_app(lambda _: {"variant": flags.is_enabled("variant", "u")})
    middleware = launched(app, force("variant", "on"))

    assert json.loads(ask(middleware)[2]) == {"variant": False}
    assert middleware.dark_launch.drain()
    assert middleware.dark_launch.stats().mismatches == {"$.body.variant": 1}


def test_an_exception_reaches_the_server(launched):
    error = LookupError("x")

    def app(environ, start_response):
        raise error

    middleware = launched(app, app)
    with pytest.raises(LookupError) as caught:
        ask(middleware)

    assert caught.value is error
    assert middleware.dark_launch.drain()
    assert middleware.dark_launch.stats().outcomes["control_error_match"] == 1


def test_flask_is_shadowed(launched):
    flask = pytest.importorskip("flask")
    app = flask.Flask(__name__)
    app.add_url_rule("/<int:n>", view_func=lambda n: {"n": n, "shadow": shadow.active()}, endpoint="n")
    app.wsgi_app = middleware = launched(app.wsgi_app, app.wsgi_app)

    assert app.test_client().get("/3").json == {"n": 3, "shadow": False}
    assert middleware.dark_launch.drain()
    assert middleware.dark_launch.stats().mismatches == {"$.body.shadow": 1}


class Asked:
    """An input that notes how it is asked, and knows no size below zero: granian's."""

    def __init__(self):
        self.asked = []

    def __getattr__(self, name):
        def call(*size):
            if size and size[0] < 0:
                raise OverflowError("out of range")
            self.asked.append((name, size))
            return [b"abc"] if name == "readlines" else b"abc"

        return call


@pytest.mark.parametrize("name", ["read", "readline", "readlines"])
@pytest.mark.parametrize("size", [(), (0,), (3,), (-1,)])
def test_the_servers_input_is_asked_as_the_application_asks(launched, name, size):
    def app(environ, start_response):
        return json_app(repr(getattr(environ["wsgi.input"], name)(*size)))(environ, start_response)

    def tried(app):
        given = environ("POST") | {"wsgi.input": Asked()}
        try:
            return ask(app, given)[2], given["wsgi.input"].asked
        except OverflowError as error:
            return str(error), given["wsgi.input"].asked

    seen = Asked()
    middleware = launched(app, json_app(""), methods=["POST"])
    given = environ("POST") | {"wsgi.input": seen}
    try:
        said = ask(middleware, given)[2]
    except OverflowError as error:
        said = str(error)
    assert (said, seen.asked) == tried(app)


def test_reduce_gets_the_parts_of_both_responses(launched):
    middleware = launched(json_app({"items": [1], "at": 1}), json_app({"items": [1], "at": 2}), reduce=lambda parts: parts["body"]["items"])
    ask(middleware)

    assert middleware.dark_launch.drain()
    assert middleware.dark_launch.stats().outcomes["match"] == 1


def test_causes_are_told_apart_by_what_the_application_calls_its_route(launched):
    def app(environ, start_response):
        environ["progflags.route"] = "item"
        return json_app({"n": 1})(environ, start_response)

    middleware = launched(app, json_app({"n": 2}))
    ask(middleware)

    assert middleware.dark_launch.drain()
    assert [cause["endpoint"] for cause in middleware.dark_launch.report()["causes"]] == ["item"]


@pytest.mark.parametrize(
    ("mount", "prefix", "path", "endpoint"),
    [
        ("", None, "/users/7", "/users/<int:id>"),
        ("", "/shop", "/shop/users/7", "/shop/users/<int:id>"),
        ("", "/<tenant>", "/acme/users/7", "/<tenant>/users/<int:id>"),
        ("/api", None, "/api/users/7", "/api/users/<int:id>"),
        ("/api", "/v2", "/api/v2/users/7", "/api/v2/users/<int:id>"),
        ("/api", None, "/api/nothing/4111", ""),
    ],
)
@pytest.mark.parametrize("outside", [True, False], ids=["around the dispatcher", "inside it"])
def test_flasks_whole_rule_names_the_endpoint(launched, mount, prefix, path, endpoint, outside):
    """Blueprints' prefixes and what DispatcherMiddleware has mounted belong to it; a path that no rule has is never told."""
    flask = pytest.importorskip("flask")
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    def application(answer):
        users = flask.Blueprint("users", __name__)
        users.add_url_rule("/users/<int:id>", view_func=lambda **_: {"n": answer}, endpoint="user")
        app = flask.Flask(__name__)
        app.register_blueprint(users, url_prefix=prefix)
        app.register_error_handler(404, lambda _: ({"n": answer}, 404))
        return app

    def mounted(app):
        return DispatcherMiddleware(application(0), {mount: app}) if mount else app

    if outside:
        served = middleware = launched(mounted(application(1)), mounted(application(2)))
    else:
        middleware = launched(application(1), application(2))
        served = mounted(middleware)
    ask(served, environ(path=path))

    assert middleware.dark_launch.drain()
    assert [cause["endpoint"] for cause in middleware.dark_launch.report()["causes"]] == [endpoint]


def test_noise_is_learned_by_asking_the_application_twice(launched):
    import itertools

    ids = itertools.count()
    middleware = launched(json_app(lambda _: {"id": next(ids), "a": 1}), json_app({"id": -1, "a": 1}), aa_rate=1.0)
    for _ in range(6):
        ask(middleware)
        assert middleware.dark_launch.drain()

    assert [proposal.path for proposal in middleware.dark_launch.proposals()] == ["$.body.id"]


def test_raise_on_mismatch_raises_out_of_the_request(launched):
    from progflags.darklaunch import DarkLaunchMismatch

    middleware = launched(json_app({"a": 1}), json_app({"a": 2}), raise_on_mismatch=True)
    with pytest.raises(DarkLaunchMismatch, match=r"\$\.body\.a"):
        ask(middleware)
