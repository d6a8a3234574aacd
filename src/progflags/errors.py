"""
What can go wrong, and whose fault it is.

One root, few children; each is also the built-in it resembles, so `except ValueError` keeps working for people who
never heard of us. A message ends with the remedy. A request never sees any of these: evaluation answers the
caller's default and a reason instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from progflags._printed import MESSAGE, paragraph, printable, quoted

__all__ = [
    "ClosedError",
    "ConflictError",
    "DefinitionError",
    "MissingExtraError",
    "Problem",
    "ProgflagsError",
    "PublishError",
    "ReadOnlyError",
    "StoreError",
    "TransitionRefused",
    "WentBackError",
]


class ProgflagsError(Exception):
    """
    Everything progflags raises on purpose. Its text is printable, in one line and bounded, whoever chose the names in it.

        try:
            flags.rollouts.start("new-checkout", by="ann")
            flags.rollouts.start("new-checkout", by="bob")
        except pf.ProgflagsError as error:
            print(error)                                        # what is wrong, and what to do
    """

    def __str__(self) -> str:
        return printable(super().__str__(), MESSAGE)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({quoted(str(self), MESSAGE)})"


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One thing wrong in a definition, precise enough to fix without searching.

    `file` is the path as given (or `<dict>`, `<env>`, the store's name); `line` counts from 1, None where the source has
    no lines; `key` is the dotted path of the offending key, empty for the whole document; `hint` says what to do.

        for problem in flags.status().rejected:
            print(problem.file, problem.line, problem.key, problem.message, problem.hint)
    """

    file: str
    line: int | None
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """`file:line: key.path: message (hint)`, the parts that are known, each shortened for itself; `to_dict` has them whole."""
        file, key = printable(self.file, 240), printable(self.key, 240)
        place = file if self.line is None else f"{file}:{self.line}"
        middle = f" {key}:" if key else ""
        tail = f" ({printable(self.hint, 240)})" if self.hint else ""
        return f"{place}:{middle} {printable(self.message, 400)}{tail}"

    def to_dict(self) -> dict[str, object]:
        """The five fields as plain JSON values."""
        return asdict(self)


class DefinitionError(ProgflagsError, ValueError):
    """
    The flag's author made a mistake, and nothing older can serve. `problems` has all of it; correct them and load again.

        try:
            pf.connect({"flag": {"new-search": {"percent": 25}}})
        except pf.DefinitionError as error:
            for problem in error.problems:
                print(problem)                          # file, line, key, and what would be right
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__(paragraph(map(str, self.problems)) or "the definition is invalid")

    def __str__(self) -> str:
        """A line for each problem, as many as fit."""
        return str(self.args[0])


class TransitionRefused(ProgflagsError, ValueError):  # noqa: N818 - the public name, fixed
    """
    The verb is not legal now. `state` is where the rollout stands, `legal` the verbs that would be accepted.

        try:
            flags.rollouts.resume("new-checkout")
        except pf.TransitionRefused as refused:
            print(refused.state, "takes only", *refused.legal)
    """

    def __init__(self, message: str, *, state: str = "", legal: Iterable[str] = ()) -> None:
        self.state = state
        self.legal: tuple[str, ...] = tuple(legal)
        super().__init__(message)


class MovedOn(TransitionRefused):
    """
    The rollout is not any more as it was when the verb was decided on. `version` is what it is now: look, and decide again.

        seen = flags.rollouts.status("new-checkout")
        flags.rollouts.pause("new-checkout", by="bob")  # meanwhile, perhaps in another process
        try:
            flags.rollouts.promote("new-checkout", by="ann", seen=seen.version)
        except pf.MovedOn as moved:
            print("look again, it is", moved.state)             # and then with seen=moved.version
    """

    def __init__(self, message: str, *, version: str, state: str = "", legal: Iterable[str] = ()) -> None:
        self.version = version
        super().__init__(message, state=state, legal=legal)


class ConflictError(ProgflagsError):
    """
    Another writer was first. `revisions` holds what the store has now; read again and decide again.

        from progflags.store import Commit

        try:
            store.commit(Commit({"notes/a": {"text": "mine"}}, expects={"notes/a": 7}))
        except ConflictError as conflict:
            print("now at", conflict.revisions["notes/a"])      # read it again, and decide again
    """

    def __init__(self, message: str, *, revisions: Mapping[str, int] | None = None) -> None:
        self.revisions: dict[str, int] = dict(revisions or {})
        super().__init__(message)


class StoreError(ProgflagsError, OSError):
    """
    The store is out of reach, full, damaged or of another version. Flags keep serving what was read last.

        try:
            where = "sqlite:////no/such/folder/progflags.db"
            flags = pf.connect("flags.toml", store=where, require_store=True)
        except pf.StoreError as error:
            print("not started:", error)            # without require_store status() says this
    """


class WentBackError(StoreError):
    """
    The store has less than it once had: it was flushed, restored from an older copy, lost commits in a failover. What serves goes on.

    A connected client looks at what was lost, throws the kill switches again that were, rolls back what would be served to more
    people than before, and goes on with the store as it is.
    """


class PublishError(ProgflagsError, OSError):
    """A snapshot could not be put where it is to be read, or is not to be. What lay there lies there still."""


class ReadOnlyError(StoreError):
    """
    This process follows a published snapshot and can write nothing. Do it where the store is: it arrives with the next one.

        flags = pf.connect("https://config.example.com/snapshot.json")
        try:
            flags.rollouts.start("new-checkout")
        except ReadOnlyError as error:
            print(error)                            # start it where the store is
    """


class ClosedError(ProgflagsError, RuntimeError):
    """
    The client was closed: evaluation goes on from the last snapshot, but nothing can be changed. Connect again.

        flags.close()
        try:
            flags.kill("new-search")
        except ClosedError:
            flags = pf.connect("flags.toml")
            flags.kill("new-search")
    """


class MissingExtraError(ProgflagsError, ImportError):
    """
    An optional package is not installed. The message is the command that installs it.

        try:
            flags = pf.connect("s3://config/flags.json")
        except MissingExtraError as error:
            print(error.extra, error)               # objects, and the command that installs it
    """

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(f"{package} is not installed: pip install 'progflags[{extra}]'")


def missing(error: ImportError, module: str, package: str, extra: str) -> ImportError:
    """
    What to raise where `module` could not be imported: that `package` is not installed, if it is not.

    Otherwise the error itself: a package that is there and broken, too old, or without one of its own needs says so in its own words.
    """
    absent = isinstance(error, ModuleNotFoundError) and error.name is not None and (f"{module}.").startswith(f"{error.name}.")
    return MissingExtraError(package, extra) if absent else error
