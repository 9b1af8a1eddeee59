"""A database of an earlier version, with a memory in it, becomes one of this version without losing a row."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from alembic import command

from memoryd.access.directory import add_tenant, find_tenant
from memoryd.catalog.looking_up import find_asset
from memoryd.catalog.models.uses import count_uses
from memoryd.catalog.showing import show_asset
from memoryd.clearance.recalls import keeping
from memoryd.clearance.recalls.radius import blast_radius
from memoryd.foundation import migrations
from memoryd.foundation.database import FARM_ROLE, Database
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.migrations import schema_states, upgrade_schema
from memoryd.model_registry.licensing.granting import grants_of
from memoryd.model_registry.looking_up import find_model, show_model
from memoryd.shipped import shipped
from memoryd.workflows.facts import Source

EARLIER = "0001"
SHA = bytes(range(32))
WEIGHTS = bytes(range(32, 64))


@pytest.fixture
def earlier(cluster: Cluster) -> Iterator[str]:
    """The owner's address of a database whose schemas are at the first revision."""
    name = f"earlier_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(cluster.owner_url(), autocommit=True) as owner:
        owner.execute(f"create database {name}")
    yield name
    with psycopg.connect(cluster.owner_url(), autocommit=True) as owner:
        owner.execute(f"drop database {name} (force)")


def make_as_first(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the farm and a tenant as the first version did."""
    real = command.upgrade
    with monkeypatch.context() as patched:
        patched.setattr(migrations.command, "upgrade", lambda config, _: real(config, EARLIER))
        upgrade_schema(url, line="farm", schema="farm", role=FARM_ROLE)
        add_tenant(url, "default", "Default")


def write_models(owner: psycopg.Connection, run: uuid.UUID) -> None:
    """Write weights as the first version did: two names on one machine, one of them past, and a licence that a file states."""
    owner.execute("insert into model (sha256, size, kind, base) values (%s, 7, 'lora', 'sdxl')", (WEIGHTS,))
    owner.execute("insert into model_alias (algorithm, value, sha256) values ('autov2', 'abcdef0123', %s)", (WEIGHTS,))
    owner.execute(
        "insert into model_name (worker, root, folder, path, seen_from, seen_to, sha256, size, mtime_ns) values"
        " ('box', '/models', 'loras', 'old.safetensors', '2024-01-01Z', '2024-02-01Z', %(sha)s, 7, 1),"
        " ('box', '/models', 'loras', 'ink.safetensors', '2024-02-01Z', null, %(sha)s, 7, 1)",
        {"sha": WEIGHTS},
    )
    licence = uuid.uuid4()
    owner.execute("insert into licence (id, name) values (%s, 'apache-2.0')", (licence,))
    owner.execute(
        "insert into licence_grant (id, model, licence_id, source) values (%s, %s, %s, 'file')",
        (uuid.uuid4(), WEIGHTS, licence),
    )
    owner.execute(
        "insert into generation_model (input, class_type, role, name, sha256, evidence, generation_id, output_node,"
        " ordinal, node, source)"
        " values ('lora_name', 'LoraLoader', 'loras', 'ink.safetensors', %s, 'executed', %s, '9', 0, '4', 'executed')",
        (WEIGHTS, run),
    )


def test_a_memory_of_the_first_version_is_brought_to_this_one(
    cluster: Cluster, earlier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = cluster.owner_url(earlier)
    make_as_first(url, monkeypatch)
    assert {state.revision for state in schema_states(url)} == {EARLIER}
    asset, run = uuid.uuid4(), uuid.uuid4()
    with psycopg.connect(url) as owner:
        owner.execute("set search_path to t_default, public")
        owner.execute(
            "insert into asset (id, sha256, size, kind, media_type, made_at, made_source, root_id)"
            " values (%s, %s, 3, 'image', 'image/png', now(), 'file_time', %s)",
            (asset, SHA, asset),
        )
        owner.execute("insert into generation (id, run_key, origin) values (%s, 'file:00', 'file')", (run,))
        owner.execute(
            "insert into generation_output (generation_id, node, output, asset_id, certain)"
            " values (%s, '9', 'images', %s, true)",
            (run, asset),
        )
        owner.execute(
            "insert into generation_prompt (generation_id, output_node, ordinal, node, source, input, polarity, text,"
            " is_template) values (%s, '9', 0, '6', 'executed', 'text', 'positive', 'a fox', false)",
            (run,),
        )
        owner.execute(
            "insert into asset_text (asset_id, root_id, made_at, recipe, head, words)"
            " values (%s, %s, now(), 'v1', true, to_tsvector('simple', 'a fox'))",
            (asset, asset),
        )
        write_models(owner, run)
    upgrade_schema(url, line="farm", schema="farm", role=FARM_ROLE)
    database = Database(cluster.server_url(earlier))
    try:
        with database.farm_work() as session:
            scope = find_tenant(session, "default")
        upgrade_schema(url, line="tenant", schema=scope.schema, role=scope.role)
        assert all(state.current for state in schema_states(url))
        with database.tenant_work(scope) as session:
            view = show_asset(session, find_asset(session, SHA.hex(), None), None)
            model = show_model(session, find_model(session, "loras/ink.safetensors"))
            [grant] = [one for one in grants_of(session, [WEIGHTS])[WEIGHTS] if not one.inherited]
            used = count_uses(session, [WEIGHTS], None)[WEIGHTS]
            assert keeping.count_behind(session) == 1
        keeping.tend(database, scope)
        with database.tenant_work(scope) as session:
            radius = blast_radius(session, WEIGHTS, None)
    finally:
        database.close()
    [shown] = view.generations
    assert [(prompt.text, prompt.source, prompt.confidence) for prompt in shown.prompts] == [
        ("a fox", Source.EXECUTED, "high")
    ]
    assert (model.model.sha256, {name.path for name in model.model.names}) == (
        WEIGHTS,
        {"old.safetensors", "ink.safetensors"},
    )
    assert grant.terms is not None
    assert grant.terms.id == "apache-2.0"
    assert used.runs == 1
    assert (radius.generations, radius.assets, radius.lines, radius.behind) == (1, 1, 1, 0)


def test_nobody_edits_history(cluster: Cluster) -> None:
    """The first revisions are what the first version shipped: a change of theirs would pass by every older database."""
    kept = {
        "farm/0001_the_farm.py": "e558921f98d1c4d3",
        "tenant/0001_the_memory.py": "0e38fb35b60379a5",
    }
    folder = shipped("migrations")
    assert {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()[:16] for name in kept} == kept
