"""The console's pages inside Django's admin: its users, its permissions, its tokens in forms."""

from __future__ import annotations

from typing import Any, Final

from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token

from progflags._console import Viewer
from progflags._console.inside import HEADERS, PAGES, Refused, Shell, View, after, draw, looked, read, tried
from progflags._deadline import within
from progflags.contrib.django._client import client

__all__ = ["answer"]

_TIMEOUT: Final = 4.0  # seconds a page may wait for the store
_ROLES: Final = {"progflags.change_flag": "operator", "progflags.approve_flag": "approver"}


def answer(request: Any, page: str, base: str, out: str) -> Any:
    """
    The answer to a request for `page`, below `base`. Whoever asks may look; `progflags.change_flag` makes an operator,
    `progflags.approve_flag` an approver, and a superuser is both.
    """
    kind, _, name = page.partition("/")
    if kind == "static":
        found = read(name)
        return _missing() if found is None else _with_headers(HttpResponse(found[0], content_type=found[1]))
    shell = _shell(request, base, out, page)
    with within(_TIMEOUT):
        if kind == "act" and request.method == "POST":
            return _act(request, name, shell)
        if page not in PAGES or (request.method == "POST" and page != "flag"):
            return _missing()
        query = request.POST if request.method == "POST" else request.GET
        return _drawn(looked(PAGES[page], client(), query.dict()), shell)


def _act(request: Any, verb: str, shell: Shell) -> Any:
    assert shell.viewer is not None
    try:
        page, flag = after(tried(client(), verb, request.POST.dict(), shell.viewer))  # type: ignore[arg-type] # a connected client
    except Refused as refused:
        return _drawn(refused.view, shell)
    return _with_headers(HttpResponseRedirect(shell.to(page, flag=flag)))


def _shell(request: Any, base: str, out: str, page: str) -> Shell:
    user = request.user
    viewer = Viewer(user.get_username(), ["viewer", *(role for held, role in _ROLES.items() if user.has_perm(held))])
    token = get_token(request)
    return Shell(base, viewer, f"{base}/static", csrf_name="csrfmiddlewaretoken", csrf=token, here=page, follows=False, out=out)


def _drawn(view: View, shell: Shell) -> Any:
    return _with_headers(HttpResponse(draw(view, shell), status=view.status))


def _with_headers(response: Any) -> Any:
    for name, value in HEADERS.items():
        response[name] = value
    return response


def _missing() -> Any:
    raise Http404
