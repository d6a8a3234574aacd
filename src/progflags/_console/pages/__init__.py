"""Pages: functions from the flags and what was asked to a View. They know no framework, so that any can serve them."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from progflags._console._view import View
from progflags._console.pages._changes import changes
from progflags._console.pages._flag import flag
from progflags._console.pages._flags import flags
from progflags._console.pages._fleet import fleet
from progflags._console.pages._now import now
from progflags._console.pages._rollout import rollout
from progflags._console.pages._shadow import shadow
from progflags._console.pages._shadows import shadows

__all__ = ["PAGES"]

PAGES: Final[Mapping[str, Callable[[Any, Mapping[str, str]], View]]] = {
    "": now,
    "rollout": rollout,
    "flags": flags,
    "flag": flag,
    "dark-launches": shadows,
    "dark-launch": shadow,
    "changes": changes,
    "fleet": fleet,
}
"""By address. Each reads only; `api/` and the name is its JSON, of the first one `api/now`."""
