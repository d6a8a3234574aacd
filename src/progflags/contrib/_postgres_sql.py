"""
What the PostgreSQL store says to the server: a commit as one message.

One message of several statements needs no answer from us between them, so no frozen writer ever holds the namespace's row. The
row is locked by a statement of its own: the next ones then see what the last holder wrote (READ COMMITTED takes a new look per
statement), and one statement checks and writes everything, or nothing. Values are quoted by the driver, for such a message takes
no parameters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import uuid4

from psycopg.sql import SQL, Composed, Literal

from progflags.contrib._postgres_tables import VERSION
from progflags.store import REMEMBERED, Commit, texts

__all__ = ["Message", "channel_of", "limited_to"]

_IDLE: Final = 2_000  # milliseconds that the server lets a transaction wait for its client

_LIMITS = SQL(
    "SELECT set_config('statement_timeout', {most}, true), set_config('lock_timeout', {most}, true),"
    " set_config('idle_in_transaction_session_timeout', {idle}, true)"
)

_COMMIT = SQL("""
BEGIN ISOLATION LEVEL READ COMMITTED;
{limits};
INSERT INTO progflags_state VALUES ({namespace}, {version}, 0) ON CONFLICT DO NOTHING;
SELECT revision FROM progflags_state WHERE namespace = {namespace} FOR UPDATE;
SELECT revision FROM progflags_commits WHERE namespace = {namespace} AND id = {id};
SELECT key, revision FROM progflags_documents WHERE namespace = {namespace} AND key = ANY({expected});
WITH moved AS (
  UPDATE progflags_state SET revision = revision + 1 WHERE namespace = {namespace} AND revision >= {least}
    AND NOT EXISTS (SELECT 1 FROM progflags_commits WHERE namespace = {namespace} AND id = {id}) {unmoved} RETURNING revision
), noted AS (
  INSERT INTO progflags_commits SELECT {namespace}, {id}, revision FROM moved
), forgotten AS (
  DELETE FROM progflags_commits c USING moved WHERE c.namespace = {namespace} AND c.revision <= moved.revision - {remembered}
), gone AS (
  DELETE FROM progflags_documents d USING moved WHERE d.namespace = {namespace} AND d.key = ANY({deleted})
) {put} {lines}
SELECT revision{told} FROM moved;
COMMIT
""")

_UNMOVED = SQL("""AND NOT EXISTS (SELECT 1 FROM (VALUES {rows}) AS e (key, revision) LEFT JOIN progflags_documents d
  ON d.namespace = {namespace} AND d.key = e.key WHERE coalesce(d.revision, 0) <> e.revision)""")

_PUT = SQL(""", put AS (
  INSERT INTO progflags_documents SELECT {namespace}, v.key, moved.revision, v.body FROM moved, (VALUES {rows}) AS v (key, body)
    ON CONFLICT (namespace, key) DO UPDATE SET revision = excluded.revision, body = excluded.body
)""")

_LINES = SQL(""", lines AS (
  INSERT INTO progflags_history SELECT {namespace}, v.subject, v.nth + coalesce((SELECT max(h.number) FROM progflags_history h
    WHERE h.namespace = {namespace} AND h.subject = v.subject), 0), moved.revision, v.body
  FROM moved, (VALUES {rows}) AS v (subject, nth, body)
)""")


_TOLD: Final = SQL(", pg_notify({channel}, '')")
_NAME: Final = 63  # bytes that a channel's name may have


def channel_of(namespace: str) -> str:
    """The channel on which commits to a namespace are told of; one with a long name shares its channel with its likes."""
    return f"progflags/{namespace}".encode()[:_NAME].decode(errors="ignore")


def limited_to(most: int) -> Composed:
    """The statement that limits what follows in its transaction to `most` milliseconds each, and how long it may lie idle."""
    return _LIMITS.format(most=Literal(f"{most}ms"), idle=Literal(f"{_IDLE}ms"))


class Message:
    """
    A commit to the store of a namespace at revision `least` or beyond. `PostgresStore._take` knows its answers.

    It has an id always: a lost connection is tried again.
    """

    def __init__(self, namespace: str, commit: Commit, least: int) -> None:
        self._name = Literal(namespace)
        self._told = SQL("") if commit.quiet else _TOLD.format(channel=Literal(channel_of(namespace)))
        self._expects = commit.expects
        self._writes, self._lines = texts(commit)
        self._id = commit.id or uuid4().hex
        self._least = least

    def composed(self, limits: int) -> Composed:
        """What is sent; the server may take so many milliseconds for each of its statements."""
        name, lines = self._name, _numbered(self._lines)
        expected = [(key, revision) for key, revision in self._expects.items()]
        put = [(key, text) for key, text in self._writes.items() if text is not None]
        return _COMMIT.format(
            limits=limited_to(limits),
            namespace=name,
            version=Literal(VERSION),
            id=Literal(self._id),
            expected=_texts(self._expects),
            least=Literal(self._least),
            remembered=Literal(REMEMBERED),
            told=self._told,
            deleted=_texts(key for key, text in self._writes.items() if text is None),
            unmoved=_UNMOVED.format(namespace=name, rows=_rows(expected, "({}::text, {}::bigint)")) if expected else SQL(""),
            put=_PUT.format(namespace=name, rows=_rows(put, "({}::text, {}::text)")) if put else SQL(""),
            lines=_LINES.format(namespace=name, rows=_rows(lines, "({}::text, {}::bigint, {}::text)")) if lines else SQL(""),
        )


def _numbered(lines: Sequence[tuple[str, str]]) -> list[tuple[str, int, str]]:
    """Each line with its place among the new ones of its subject."""
    seen: Counter[str] = Counter()
    found = []
    for subject, text in lines:
        seen[subject] += 1
        found.append((subject, seen[subject], text))
    return found


def _rows(rows: Iterable[tuple[Any, ...]], shape: Any) -> Composed:
    return SQL(", ").join([SQL(shape).format(*map(Literal, row)) for row in rows])


def _texts(words: Iterable[str]) -> Composed:
    return SQL("ARRAY[{}]::text[]").format(SQL(", ").join([Literal(word) for word in words]))
