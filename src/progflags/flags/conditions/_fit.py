"""What is compared with, as its operator wants it; what an operator has no use for is refused, with the way to write it."""

from __future__ import annotations

from progflags.flags._problems import Wrong, shown
from progflags.flags.conditions._literals import Literal, Moment, Network, SemVer, moment_of

__all__ = ["literal", "moment", "network", "version"]


def literal(op: str, value: Literal) -> Literal:
    """
    `value` as the operator wants it.

    Raises:
        Wrong: the operator has no use for a value of that type.
    """
    many = isinstance(value, tuple)
    texts = isinstance(value, str) or (isinstance(value, tuple) and bool(value) and all(isinstance(item, str) for item in value))
    if op == "cidr":
        if isinstance(value, Network):
            return value
        if not texts:
            raise Wrong("cidr compares with a network or a list of networks", 'write "10.0.0.0/8"')
        return network(*(value if isinstance(value, tuple) else (str(value),)))
    if op in ("in", "not in") and not isinstance(value, Network) and not many:
        raise Wrong(f"{op!r} wants a list", f'write {op} ["a", "b"]')
    if op in ("==", "!=") and (many or isinstance(value, Network)):
        raise Wrong(f"{op!r} compares with a single value", "write `in` to compare with several")
    if op in ("<", "<=", ">", ">=") and (isinstance(value, bool) or not isinstance(value, (int, float, SemVer, Moment))):
        raise Wrong(f"{op!r} orders numbers, versions and dates, not {_kind(value)}", 'write semver("2.1.0") or date("2027-01-31")')
    if op in ("startswith", "endswith", "matches") and not texts:
        raise Wrong(f"{op!r} wants a text or a list of texts, not {_kind(value)}")
    if op in ("contains", "overlaps") and isinstance(value, (SemVer, Moment, Network)):
        raise Wrong(f"{op!r} wants plain values, not {_kind(value)}")
    if op == "overlaps" and not many:
        raise Wrong("'overlaps' wants a list", "write `contains` to look for a single value")
    if op == "exists" and not isinstance(value, bool):
        raise Wrong("'exists' wants true or false")
    return value


def _kind(value: object) -> str:
    names = {str: "a text", bool: "true or false", tuple: "a list", SemVer: "a version", Moment: "a date", Network: "a network"}
    return names.get(type(value), "a number")


def network(*texts: str) -> Network:
    """The networks in `texts`; Wrong when one is none."""
    try:
        return Network(texts)
    except ValueError as error:
        raise Wrong(str(error), 'write "10.0.0.0/8" or "2001:db8::/32"') from None


def version(text: str) -> SemVer:
    """The version in `text`; Wrong when it is none."""
    found = SemVer.read(text)
    if found is None:
        raise Wrong(f"{text!r} is not a version", 'write semver("2.1.0")')
    return found


def moment(value: object) -> Moment:
    """The date in `value`; Wrong when it is none."""
    at = moment_of(value)
    if at is None:
        raise Wrong(f"{shown(value)} is not a date", "write 2027-01-31 or 2027-01-31T09:00:00Z")
    return Moment(at)
