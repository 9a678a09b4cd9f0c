from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from entrepot.errors import MetadataFailed
from entrepot.metadata import revision, schema
from entrepot.metadata.revision import NEWEST, known_revisions, written_out
from entrepot.metadata.sql import SqlMetadata

_TABLES = "SELECT name, sql FROM sqlite_master WHERE type = 'table'"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "entrepot.db"


def _execute(path: Path, statement: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        with connection:
            return connection.execute(statement).fetchall()
    finally:
        connection.close()


async def _make(path: Path) -> None:
    await SqlMetadata.open(path).close()


async def test_the_migrations_make_the_schema(path: Path) -> None:
    await _make(path)
    with create_engine(f"sqlite:///{path}").connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []


async def test_they_make_the_very_tables_of_the_schema_keys_included(path: Path) -> None:
    await _make(path)
    made = dict(_execute(path, _TABLES))
    del made["alembic_version"]
    described = sqlite3.connect(":memory:")
    for table in schema.metadata.sorted_tables:
        described.execute(str(CreateTable(table).compile(dialect=sqlite.dialect())))
    assert made.keys() == schema.metadata.tables.keys()
    assert {name: _lines(sql) for name, sql in described.execute(_TABLES)} == {
        name: _lines(sql) for name, sql in made.items()
    }
    described.close()


def _lines(sql: str) -> list[str]:
    """Cut a CREATE TABLE into its clauses: their order means nothing, and one added later shares a line."""
    return sorted(line.strip(" \t,") for line in sql.replace(", ", "\n").splitlines() if line.strip())


def _make_older(path: Path, number: str) -> None:
    """Make a database as the version with that schema left it."""
    connection = sqlite3.connect(path)
    with create_engine("sqlite://", creator=lambda: connection).begin() as begun:
        config = Config(attributes={"connection": begun})
        config.set_main_option("script_location", str(revision._MIGRATIONS))
        command.upgrade(config, number)
    connection.close()


@pytest.mark.parametrize("number", known_revisions()[:-1])
async def test_every_older_schema_is_brought_up_to_date_and_keeps_what_it_holds(
    path: Path, number: str
) -> None:
    _make_older(path, number)
    _execute(path, "INSERT INTO repositories (upstream, name, path) VALUES ('a', 'b', 'a/b')")
    _execute(
        path, "INSERT INTO blobs (digest, size, stored_at, last_used_at, uses) VALUES ('d', 5000, 1, 2, 7)"
    )
    _execute(path, "INSERT INTO repository_blobs (repository_id, digest) VALUES (1, 'd')")
    await _make(path)
    assert _execute(path, "SELECT version_num FROM alembic_version") == [(known_revisions()[-1],)]
    assert _execute(path, "SELECT path FROM repositories") == [("a/b",)]
    assert _execute(path, "SELECT priority FROM blobs") == [(7.0 if number < "0003" else 0.0,)]
    assert _execute(path, "SELECT blobs, blob_bytes FROM totals") == [(1, 8192)]
    charged = [("a", 8192)] if number < "0004" else []
    assert _execute(path, "SELECT upstream, blob_bytes FROM upstream_totals") == charged


def _steps_and(folder: Path, *operations: str) -> Path:
    """Copy the steps, and add one of these operations behind the last of them."""
    shutil.copytree(revision._MIGRATIONS, folder)
    upgrade = "\n".join(f"    {operation}" for operation in operations)
    (folder / "versions/9000_more.py").write_text(
        f'from alembic import op\n\nrevision = "9000"\ndown_revision = "{known_revisions()[-1]}"\n\n\n'
        f"def upgrade() -> None:\n{upgrade}\n"
    )
    return folder


def test_the_steps_are_numbered_in_the_order_they_run() -> None:
    configuration = Config()
    configuration.set_main_option("script_location", str(revision._MIGRATIONS))
    steps = ScriptDirectory.from_config(configuration).walk_revisions()
    assert [step.revision for step in steps] == known_revisions()[::-1]


def test_a_new_database_begins_with_what_the_steps_make() -> None:
    stale = f"{NEWEST.name} is not what the steps make: run python -m entrepot.metadata.migrations"
    assert NEWEST.read_text(encoding="utf-8") == written_out(), stale


async def test_a_new_database_takes_the_steps_that_are_not_written_out(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        revision,
        "_MIGRATIONS",
        _steps_and(tmp_path / "steps", 'op.execute("CREATE TABLE more (id INTEGER)")'),
    )
    await _make(path)
    assert _execute(path, "SELECT version_num FROM alembic_version") == [("9000",)]
    assert _execute(path, "SELECT count(*) FROM more") == [(0,)]
    assert _execute(path, "SELECT count(*) FROM tags") == [(0,)]


@pytest.mark.parametrize("is_new", [True, False])
async def test_a_database_that_is_new_or_in_the_newest_schema_is_opened_without_alembic(
    path: Path, *, is_new: bool
) -> None:
    if not is_new:
        await _make(path)
    script = """
import asyncio, pathlib, sys
from entrepot.metadata.sql import SqlMetadata

async def main():
    await SqlMetadata.open(pathlib.Path(sys.argv[1])).close()

asyncio.run(main())
sys.exit("alembic" in sys.modules)
"""
    opened = await asyncio.create_subprocess_exec(sys.executable, "-c", script, path)
    assert await opened.wait() == 0


async def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(path: Path) -> None:
    await _make(path)
    _execute(path, "UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    with pytest.raises(MetadataFailed, match=r"schema 9999.*run the version that wrote it"):
        SqlMetadata.open(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["entrepot.db"]


async def test_a_step_that_fails_leaves_the_database_as_it_was(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _make(path)
    newest = known_revisions()[-1]
    steps = _steps_and(tmp_path / "100% steps", 'op.drop_table("tags")', 'op.drop_table("absent")')
    monkeypatch.setattr(revision, "_MIGRATIONS", steps)
    with pytest.raises(MetadataFailed, match="absent"):
        SqlMetadata.open(path)
    assert _execute(path, "SELECT version_num FROM alembic_version") == [(newest,)]
    assert _execute(path, "SELECT count(*) FROM tags") == [(0,)]
