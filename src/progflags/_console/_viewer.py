"""Viewer: somebody who was let in, by name and roles; and Asked, what a hook is told of a request to decide that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Any

from progflags._names import must_be_named

__all__ = ["Asked", "Auth", "Role", "Viewer"]


class Role(StrEnum):
    """
    What somebody may do in the console. Each lets one look.

        ann = pf.Viewer("ann", [pf.Role.OPERATOR])
        ann.may(pf.Role.OPERATOR), ann.may(pf.Role.APPROVER)    # True, False
    """

    VIEWER = "viewer"  #: look at everything, change nothing
    OPERATOR = "operator"  #: start, pause, resume, promote, roll back, retry, abort, kill, panic
    APPROVER = "approver"  #: agree to a step that waits for approval


@dataclass(frozen=True, slots=True)
class Asked:
    """
    A request as far as it says who asks: `headers` by lower-case name, `client` the address it came from, and the whole ASGI scope.

        def who(asked: pf.Asked) -> pf.Viewer | None:
            name = PEOPLE.get(asked.headers.get("authorization"))
            return pf.Viewer(name, ("operator",)) if name else None

        app.mount("/ops", pf.console(flags, auth=who, hosts=("shop.example.com",)))
    """

    method: str
    path: str
    headers: Mapping[str, str]
    client: str
    scope: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Viewer:
    """
    Somebody who was let in. `name` is written into the history as the actor of what they do; `roles` are those of `Role`, as words.

        pf.Viewer("ann", ("operator", "approver"))

    Raises:
        ValueError: the name can't be one, or there is no such role.
    """

    name: str
    roles: frozenset[Role] = frozenset({Role.VIEWER})

    def __init__(self, name: str, roles: Iterable[str] = ("viewer",)) -> None:
        must_be_named(name, "a viewer")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "roles", frozenset(map(Role, [roles] if isinstance(roles, str) else roles)))

    def may(self, role: Role | str) -> bool:
        """Whether they have that role; everybody who was let in may look."""
        return role == Role.VIEWER or role in self.roles

    @staticmethod
    def from_header(
        name: str, *, addresses: Iterable[str], roles: Mapping[str, Iterable[str]], others: Iterable[str] | None = None
    ) -> Callable[[Asked], Viewer | None]:
        """
        An `auth=` for a reverse proxy that names who asks in the header `name`, as oauth2-proxy and others do.

        It is believed from `addresses` only (`"10.0.0.7"`, `"10.1.0.0/16"`): whoever reaches the console past the proxy could
        write any name. `roles` is by that name; `others`, where it is given, are the roles of everybody else the proxy lets in.

        Raises:
            ValueError: an address or a role is none.
        """
        networks = [ip_network(address, strict=False) for address in addresses]
        if not networks:
            raise ValueError("addresses= names the proxies whose header is believed, and there is none")
        known = {who: Viewer(who, each) for who, each in roles.items()}
        rest = None if others is None else Viewer("somebody", others).roles
        header = name.lower()

        def auth(asked: Asked) -> Viewer | None:
            said = asked.headers.get(header, "")
            if not said or not _within(asked.client, networks):
                return None
            return known.get(said) or (None if rest is None else Viewer(said, rest))

        return auth


Auth = Callable[[Asked], Any]
"""A hook that says who asks: a Viewer, or None for nobody; it may be `async`."""


def _within(client: str, networks: Iterable[Any]) -> bool:
    try:
        address = ip_address(client)
    except ValueError:  # a Unix socket has none
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
