"""
Progressive delivery inside the application process: flags, dark launches, staged rollouts and honest canary verdicts.

The names below are all there is to know at first. Each loads when first used, so that `import progflags` costs a few
milliseconds and starts nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from progflags import notify as notify
    from progflags._connect import Flags as Flags
    from progflags._connect import Status as Status
    from progflags._connect import connect as connect
    from progflags._console import Asked as Asked
    from progflags._console import Role as Role
    from progflags._console import Viewer as Viewer
    from progflags._console import console as console
    from progflags.canary import CanaryAnalyzer as CanaryAnalyzer
    from progflags.canary import CanaryConfig as CanaryConfig
    from progflags.canary import CanaryDecision as CanaryDecision
    from progflags.canary import CanaryReport as CanaryReport
    from progflags.canary import Gate as Gate
    from progflags.canary import MetricResult as MetricResult
    from progflags.canary import Rate as Rate
    from progflags.context import Context as Context
    from progflags.context import bind as bind
    from progflags.darklaunch import by_key as by_key
    from progflags.darklaunch import dark_launch as dark_launch
    from progflags.darklaunch import ignore as ignore
    from progflags.darklaunch import normalize as normalize
    from progflags.darklaunch import opaque as opaque
    from progflags.darklaunch import score as score
    from progflags.darklaunch import shadow as shadow
    from progflags.darklaunch import subset as subset
    from progflags.darklaunch import tolerance as tolerance
    from progflags.darklaunch import unordered as unordered
    from progflags.darklaunch import within as within
    from progflags.errors import DefinitionError as DefinitionError
    from progflags.errors import MovedOn as MovedOn
    from progflags.errors import Problem as Problem
    from progflags.errors import ProgflagsError as ProgflagsError
    from progflags.errors import StoreError as StoreError
    from progflags.errors import TransitionRefused as TransitionRefused
    from progflags.events import Change as Change
    from progflags.events import ChangeKind as ChangeKind
    from progflags.flags import Evaluation as Evaluation
    from progflags.flags import Flag as Flag
    from progflags.flags import force as force
    from progflags.rollout import RolloutStatus as RolloutStatus
    from progflags.rollout import Transition as Transition
    from progflags.rollout import progressive as progressive

    # What `connect` makes is a Flags, so that is what comes back; the flags room, floors below, knows it as a Client.
    def default() -> Flags: ...
    def set_default(client: Flags | None) -> None: ...


_HOME = {
    "Flags": "_connect",
    "Status": "_connect",
    "connect": "_connect",
    "Asked": "_console",
    "Role": "_console",
    "Viewer": "_console",
    "console": "_console",
    "Context": "context",
    "bind": "context",
    "DefinitionError": "errors",
    "Problem": "errors",
    "ProgflagsError": "errors",
    "MovedOn": "errors",
    "StoreError": "errors",
    "TransitionRefused": "errors",
    "Evaluation": "flags",
    "Flag": "flags",
    "default": "flags",
    "force": "flags",
    "set_default": "flags",
    "Change": "events",
    "ChangeKind": "events",
    "CanaryAnalyzer": "canary",
    "CanaryConfig": "canary",
    "CanaryDecision": "canary",
    "CanaryReport": "canary",
    "Gate": "canary",
    "MetricResult": "canary",
    "Rate": "canary",
    "notify": "notify",
    "RolloutStatus": "rollout",
    "Transition": "rollout",
    "progressive": "rollout",
    "by_key": "darklaunch",
    "dark_launch": "darklaunch",
    "ignore": "darklaunch",
    "normalize": "darklaunch",
    "opaque": "darklaunch",
    "score": "darklaunch",
    "shadow": "darklaunch",
    "subset": "darklaunch",
    "tolerance": "darklaunch",
    "unordered": "darklaunch",
    "within": "darklaunch",
}

__all__ = [*_HOME, "__version__"]  # noqa: PLE0604 - the table holds the names


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'progflags' has no attribute {name!r}")
    from importlib import import_module

    home = import_module(f"progflags.{_HOME[name]}")
    value = home if _HOME[name] == name else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
