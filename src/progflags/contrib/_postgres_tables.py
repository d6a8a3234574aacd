"""The tables of the PostgreSQL store, and what a role needs of them. No driver is needed to read this."""

from __future__ import annotations

from typing import Final

__all__ = ["TABLES", "VERSION", "granted"]

VERSION: Final = 1

TABLES: Final = """
CREATE TABLE IF NOT EXISTS progflags_state (namespace text PRIMARY KEY, version int NOT NULL, revision bigint NOT NULL);
CREATE TABLE IF NOT EXISTS progflags_documents (namespace text, key text COLLATE "C", revision bigint NOT NULL, body text NOT NULL,
  PRIMARY KEY (namespace, key));
CREATE TABLE IF NOT EXISTS progflags_history (namespace text, subject text COLLATE "C", number bigint, revision bigint NOT NULL,
  body text NOT NULL, PRIMARY KEY (namespace, subject, number));
CREATE TABLE IF NOT EXISTS progflags_commits (namespace text, id text COLLATE "C", revision bigint NOT NULL, PRIMARY KEY (namespace, id));
CREATE INDEX IF NOT EXISTS progflags_commits_by_age ON progflags_commits (namespace, revision);
CREATE UNLOGGED TABLE IF NOT EXISTS progflags_board (namespace text, topic text COLLATE "C", worker text COLLATE "C", seq bigint NOT NULL,
  at timestamptz NOT NULL, body bytea NOT NULL, PRIMARY KEY (namespace, topic, worker));
"""

_NAMES: Final = ("state", "documents", "history", "commits", "board")


def granted(role: str) -> str:
    """Statements that let `role` read and write rows of the tables, which is all that a program does."""
    tables, quoted = ", ".join(f"progflags_{name}" for name in _NAMES), '"' + role.replace('"', '""') + '"'
    return f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {quoted};\n"
