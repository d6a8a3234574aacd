"""Dark launches of code that uses an ORM: a session of the candidate's own that only reads, and answers compared as plain rows."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

from progflags.darklaunch import dark_launch

sqlalchemy = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is in the tests group")

from sqlalchemy import ForeignKey, create_engine, select  # noqa: E402 - after the skip
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine  # noqa: E402
from sqlalchemy.orm import (  # noqa: E402
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    scoped_session,
    selectinload,
    sessionmaker,
)

from progflags.contrib.sqlalchemy import own_session, rows, rows_with  # noqa: E402


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    note: Mapped[str] = mapped_column(deferred=True, default="long")
    books: Mapped[list[Book]] = relationship(back_populates="author", order_by="Book.id")


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))
    author: Mapped[Author] = relationship(back_populates="books")


@pytest.fixture
def path(tmp_path):
    made = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    Base.metadata.create_all(made)
    with sessionmaker(made).begin() as session:
        session.add(Author(name="ada", books=[Book(title="one"), Book(title="two")]))
    made.dispose()
    return tmp_path / "shop.db"


@pytest.fixture
def database(path):
    made = create_engine(f"sqlite:///{path}")
    yield made
    made.dispose()


@pytest.fixture
def sessions(database):
    return sessionmaker(database)


def titled(session, title):
    return list(session.scalars(select(Book).where(Book.title == title)))


def stats(function):
    assert function.dark_launch.drain(60)
    return function.dark_launch.stats()


@pytest.mark.parametrize("executor", ["inline", "thread"])
def test_the_candidate_has_a_session_of_its_own_and_its_rows_are_compared(flags, engine, sessions, executor):
    met = []

    def candidate(session, title):
        met.append(session)
        return titled(session, title)

    @dark_launch("on", flags=flags, executor=executor, **own_session(candidate, sessions))
    def control(session, title):
        return titled(session, title)

    with sessions() as session:
        [book] = control(session, "one")
        control(session, title="two")
        control(session=session, title="three")
        assert stats(control).outcomes["match"] == 3
        assert book in session  # it is still the caller's, in the caller's session
        assert book.author.name == "ada"
    assert session not in met
    assert len({id(each) for each in met}) == 3
    assert not any(each.in_transaction() for each in met)  # closed


def test_another_answer_is_a_difference_at_the_column(flags, engine, sessions):
    @dark_launch("on", flags=flags, executor="inline", **own_session(lambda session, _title: titled(session, "two"), sessions))
    def control(session, title):
        return titled(session, title)

    with sessions() as session:
        control(session, "one")
    assert stats(control).mismatches == {"$[*].id": 1, "$[*].title": 1}


@pytest.mark.parametrize("commits", [False, True])
def test_it_can_only_read_and_the_callers_transaction_is_left_alone(flags, engine, sessions, commits):
    def candidate(session):
        session.add(Book(title="three", author_id=1))
        if commits:
            session.commit()
        session.flush()
        return 1

    @dark_launch("on", flags=flags, executor="inline", **own_session(candidate, sessions))
    def control(session):
        session.add(Author(name="bob"))
        return 1

    with sessions() as session:
        control(session)
        assert len(session.new) == 1  # not flushed by anybody
        session.commit()
        assert stats(control).outcomes["guard_blocked"] == 1
        assert session.query(Book).count() == 2
        assert session.query(Author).count() == 2


def test_a_function_that_is_given_no_session_gets_one_if_it_has_a_parameter_for_it(flags, engine, sessions):
    here = scoped_session(sessions)

    def candidate(title, session=None):
        assert isinstance(session, Session)
        return titled(session, title)

    @dark_launch("on", flags=flags, executor="thread", **own_session(candidate, sessions))
    def control(title):
        return titled(here, title)

    control("one")
    assert stats(control).outcomes["match"] == 1
    here.remove()


def test_a_registry_of_sessions_is_swapped_too(flags, engine, sessions):
    here = scoped_session(sessions)

    @dark_launch("on", flags=flags, executor="thread", **own_session(titled, sessions))
    def control(session, title):
        return titled(session, title)

    control(here, "one")
    assert stats(control).outcomes["match"] == 1
    here.remove()


def test_what_fails_is_closed_and_counted(flags, engine, sessions, database):
    def candidate(session, title):
        titled(session, title)
        raise ValueError(title)

    @dark_launch("on", flags=flags, executor="thread", **own_session(candidate, sessions))
    def control(session, title):
        return titled(session, title)

    with sessions() as session:
        control(session, "one")
        session.rollback()
        assert stats(control).outcomes["candidate_error"] == 1
    assert database.pool.checkedout() == 0


async def test_coroutines_and_async_sessions_likewise(flags, engine, path):
    pytest.importorskip("aiosqlite", reason="aiosqlite is in the tests group")
    database = create_async_engine(f"sqlite+aiosqlite:///{path}")
    sessions = async_sessionmaker(database)
    met = []

    async def titles(session, title):
        met.append(session)
        if title == "write":
            session.add(Book(title="three", author_id=1))
            await session.flush()
        return list(await session.scalars(select(Book).where(Book.title == title)))

    @dark_launch("on", flags=flags, deadline=30.0, **own_session(titles, sessions))
    async def control(session: AsyncSession, title: str):
        return list(await session.scalars(select(Book).where(Book.title == title)))

    async with sessions() as session:
        for title in ("one", "two", "write"):
            await control(session, title)
        assert await control.dark_launch.adrain(60)
    outcomes = control.dark_launch.stats().outcomes
    await database.dispose()
    assert outcomes["match"] == 2
    assert outcomes["guard_blocked"] == 1
    assert session not in met
    assert len(met) == 3


def test_what_cannot_have_a_session_of_its_own_says_what_to_do(database):
    with pytest.raises(ValueError, match=r"sessionmaker\(engine\)"):
        own_session(titled, sessionmaker())
    with database.connect() as connection, pytest.raises(ValueError, match=r"sessionmaker\(engine\)"):
        own_session(titled, sessionmaker(connection))

    def generator(session):
        yield session

    with pytest.raises(TypeError, match="return a list"):
        own_session(generator, sessionmaker(database))


def test_rows_are_columns_and_nothing_is_loaded_for_them(sessions, database):
    asked = []
    with sessions() as session:
        author = session.scalars(select(Author).options(selectinload(Author.books))).one()
        pair = session.execute(select(Author, Book.title).join(Book).order_by(Book.id)).first()
        sqlalchemy.event.listen(database, "before_cursor_execute", lambda *given: asked.append(given[2]))
        assert rows(author) == {"id": 1, "name": "ada"}
        book = {"id": 1, "title": "one", "author_id": 1}
        assert rows({"books": (author.books[0],), "n": 1}) == {"books": [book], "n": 1}
        assert rows(pair) == {"Author": {"id": 1, "name": "ada"}, "title": "one"}
        assert rows({author}) == [{"id": 1, "name": "ada"}]
        assert rows({1, 2}) == {1, 2}
        assert rows("text") == "text"
        session.expire(author)
        assert rows(author) == {}
        assert asked == []


def test_relationships_that_are_named_are_followed_and_a_cycle_ends(sessions):
    with sessions() as session:
        author = session.scalars(select(Author).options(selectinload(Author.books).selectinload(Book.author))).one()
        found = rows_with("books", "author")(author)
    assert [book["author"] for book in found["books"]] == ["(again)", "(again)"]
    assert [book["title"] for book in found["books"]] == ["one", "two"]
    many = []
    many.append(many)
    assert rows(many) == ["(again)"]


DJANGO = """
import sys
from django.conf import settings
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    INSTALLED_APPS=[], DEFAULT_AUTO_FIELD="django.db.models.AutoField", USE_TZ=True)
import django
django.setup()
from django.db import connection, models
import progflags as pf
from progflags.contrib.django import rows
from progflags.darklaunch import guards

class Author(models.Model):
    name = models.CharField(max_length=9)
    class Meta:
        app_label = "shop"

class Book(models.Model):
    title = models.CharField(max_length=9)
    author = models.ForeignKey(Author, models.CASCADE)
    class Meta:
        app_label = "shop"

with connection.schema_editor() as editor:
    editor.create_model(Author)
    editor.create_model(Book)
ada = Author.objects.create(name="ada")
for title in ("one", "two"):
    Book.objects.create(title=title, author=ada)

one = {"id": 1, "title": "one", "author_id": 1}
books = Book.objects.order_by("id")
list(books)
assert rows(books)[0] == one and rows({"x": (books[0],)}) == {"x": [one]}
assert rows(Book.objects.only("title").get(pk=1)) == {"id": 1, "title": "one"}
values = Book.objects.order_by("id").values("title")
list(values)
assert rows(values) == [{"title": "one"}, {"title": "two"}]
try:
    rows({"page": [Book.objects.all()]})
except TypeError as error:
    assert "list(queryset)" in str(error)
else:
    raise AssertionError("a queryset nobody has read was taken for an answer")

flags = pf.connect({"flags": {"on": {"percent": 100}}}, poll=None)

@pf.dark_launch("on", candidate=lambda title: list(Book.objects.filter(title=title)), reduce=rows, flags=flags,
                executor="thread", guards=[guards.django_readonly()], deadline=600)
def titled(title):
    return [book for book in Book.objects.all() if book.title == title]

@pf.dark_launch("on", candidate=lambda: Book.objects.all(), reduce=rows, flags=flags, executor="thread", deadline=600)
def unread():
    return Book.objects.all()

for title in ("one", "two", "three"):
    assert [book.title for book in titled(title)] == [title][: title != "three"]
assert titled.dark_launch.drain(60) and titled.dark_launch.stats().outcomes["match"] == 3
assert len(unread()) == 2
assert unread.dark_launch.drain(60) and unread.dark_launch.stats().shed == {"hook": 1}, unread.dark_launch.stats()
flags.close()
print("good")
"""


def test_djangos_instances_and_querysets_are_rows(tmp_path):
    pytest.importorskip("django", reason="Django is in the tests group")
    done = subprocess.run([sys.executable, "-c", dedent(DJANGO), str(tmp_path / "d.db")], capture_output=True, text=True, check=False)
    assert done.stdout == "good\n", done.stderr
