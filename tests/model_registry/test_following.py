"""What workers tell of their models comes into the registry of those tenants that they serve, and of no other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from uuid import uuid4

import pytest

from memoryd.access.facts import Caller
from memoryd.dispatch import chores, farm_changes, model_descriptions, model_hashes, pools, workers
from memoryd.dispatch.facts import WorkerIdentity
from memoryd.dispatch.models_wire import ModelDescription
from memoryd.dispatch.wire import ModelFile, ModelPlace, RegisterRequest
from memoryd.foundation.database import Database, TenantScope
from memoryd.model_registry import following, looking_up
from memoryd.model_registry.facts import ModelDetail, Recorded

SHARE = ModelPlace(key="5" * 64, kind="share", root="/mnt/models/loras")
Join = Callable[..., WorkerIdentity]


def name_of(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def file(path: str, content: str | None, *, place: int | None = 0, mtime_ns: int = 1) -> ModelFile:
    sha256 = None if content is None else name_of(content)
    return ModelFile(folder="loras", path=path, size=3, mtime_ns=mtime_ns, sha256=sha256, place=place)


@pytest.fixture
def join(database: Database) -> Join:
    """A worker of these tenants; none is all."""

    def make(label: str, *tenants: TenantScope) -> WorkerIdentity:
        with database.farm_work() as session:
            pools.ensure_defaults(session)
            [pool, *_] = pools.list_pools(session, tenant_id=tenants[0].id)
            token = workers.make_join_token(session, pools=[pool.name], tenants=[one.id for one in tenants])
            joined = workers.join(session, token, label=label, host="h", gpu_uuid=None, protocol=1)
            return workers.current(session, joined.worker_id)

    return make


@pytest.fixture
def state(database: Database) -> Callable[..., WorkerIdentity]:
    """A start of a worker, with these files."""

    def tell(worker: WorkerIdentity, *files: ModelFile, places: tuple[ModelPlace, ...] = (SHARE,)) -> WorkerIdentity:
        asked = RegisterRequest(
            incarnation=uuid4(),
            label=worker.label,
            host="h",
            environment={},
            models=list(files),
            places=list(places),
            nodes_sha256="0" * 64,
            classes=[],
        )
        with database.farm_work() as session:
            return workers.register(session, worker, asked)

    return tell


State = Callable[..., WorkerIdentity]


def shown(database: Database, tenant: TenantScope, content: str) -> ModelDetail:
    with database.tenant_work(tenant) as session:
        return looking_up.show_model(session, bytes.fromhex(name_of(content)))


def test_a_workers_hashed_files_are_known_to_the_tenant_that_it_serves_and_to_no_other(
    database: Database, tenant: TenantScope, other_tenant: TenantScope, join: Join, state: State
) -> None:
    state(join("gpu-1", tenant), file("a.pt", "x"), file("b.pt", None))
    assert following.follow(database, tenant) == Recorded(models_new=1, names_new=1)
    assert following.follow(database, tenant) == Recorded()
    assert following.follow(database, other_tenant) == Recorded()
    [name] = shown(database, tenant, "x").model.names
    assert (name.folder, name.path, name.workers, name.root) == ("loras", "a.pt", ("gpu-1",), SHARE.root)
    with pytest.raises(looking_up.ModelNotFound):
        shown(database, other_tenant, "x")


def test_telling_makes_one_chore_for_each_tenant_that_is_served(
    database: Database, tenant: TenantScope, other_tenant: TenantScope, join: Join, state: State
) -> None:
    state(join("gpu-1", tenant), file("a.pt", "x"))
    worker = state(join("gpu-2", tenant, other_tenant), file("a.pt", "x"), file("b.pt", None))
    with database.farm_work() as session:
        assert chores.count(session)[following.CHORE_KIND] == (2, 0)
        model_hashes.state_hashes(session, worker, [file("b.pt", "y")])
        assert chores.count(session)[following.CHORE_KIND] == (2, 0)


def test_a_folder_that_two_workers_see_is_one_place_whose_names_are_kept_once(
    database: Database, tenant: TenantScope, join: Join, state: State
) -> None:
    state(join("gpu-1", tenant), file("a.pt", "x"), file("b.pt", "y"))
    state(join("gpu-2", tenant), file("a.pt", None), file("b.pt", "y"))
    assert following.follow(database, tenant) == Recorded(models_new=2, names_new=2)
    [name] = shown(database, tenant, "x").model.names
    assert name.workers == ("gpu-1", "gpu-2")


def test_folders_that_workers_do_not_tell_apart_are_each_their_own(
    database: Database, tenant: TenantScope, join: Join, state: State
) -> None:
    for label in ("gpu-1", "gpu-2"):
        state(join(label, tenant), file("a.pt", "x", place=None), places=())
    assert following.follow(database, tenant) == Recorded(models_new=1, names_new=2)


def test_drift_on_a_worker_is_dated_and_a_file_that_is_not_hashed_yet_has_no_content(
    database: Database, tenant: TenantScope, join: Join, state: State
) -> None:
    worker = join("gpu-1", tenant)
    state(worker, file("a.pt", "x"), file("b.pt", "y"))
    following.follow(database, tenant)
    state(worker, file("a.pt", "new", mtime_ns=2), file("b.pt", None, mtime_ns=2))
    assert following.follow(database, tenant) == Recorded(models_new=1, names_changed=1, names_gone=1)
    assert shown(database, tenant, "x").model.names[0].seen_to is not None
    assert shown(database, tenant, "x").model.drifted == ("loras/a.pt",)


def test_a_name_that_is_not_stated_any_more_ends_but_not_with_its_whole_folder(
    database: Database, tenant: TenantScope, join: Join, state: State
) -> None:
    worker = join("gpu-1", tenant)
    state(worker, file("a.pt", "x"), file("b.pt", "y"))
    following.follow(database, tenant)
    state(worker, file("a.pt", "x"))
    assert following.follow(database, tenant) == Recorded(names_gone=1)
    state(worker)
    assert following.follow(database, tenant) == Recorded()


def test_a_removed_worker_closes_what_only_it_told(
    database: Database, tenant: TenantScope, caller: Caller, join: Join, state: State
) -> None:
    first, second = join("gpu-1", tenant), join("gpu-2", tenant)
    state(first, file("a.pt", "x"), file("o.pt", "own", place=None))
    state(second, file("a.pt", "x"))
    following.follow(database, tenant)
    with database.tenant_work(tenant) as session:
        farm_changes.remove_worker(session, caller, first.worker_id)
    assert following.follow(database, tenant) == Recorded(names_gone=1)
    assert shown(database, tenant, "x").model.names[0].workers == ("gpu-2",)
    with database.tenant_work(tenant) as session:
        farm_changes.remove_worker(session, caller, second.worker_id)
    assert following.follow(database, tenant) == Recorded(names_gone=1)
    assert shown(database, tenant, "x").model.names[0].seen_to is not None


def test_a_machine_that_was_started_anew_keeps_its_folders(
    database: Database, tenant: TenantScope, join: Join, state: State
) -> None:
    worker = join("gpu-1", tenant)
    before, after = (ModelPlace(key=digit * 64, kind="local", root="/models/loras") for digit in "12")
    state(worker, file("a.pt", "x"), places=(before,))
    following.follow(database, tenant)
    state(worker, file("a.pt", "x"), places=(after,))
    assert following.follow(database, tenant) == Recorded()
    assert len(shown(database, tenant, "x").model.names) == 1


def test_descriptions_come_from_workers_that_serve_the_tenant_alone(
    database: Database, tenant: TenantScope, other_tenant: TenantScope, join: Join, state: State
) -> None:
    ours, theirs = (
        state(join(label, one), file("a.pt", "x"), places=(SHARE,))
        for label, one in (("gpu-1", tenant), ("gpu-2", other_tenant))
    )
    told = ModelDescription.model_validate(
        {
            "sha256": name_of("x"),
            "stamp": "0" * 16,
            "format": "safetensors",
            "triggers": ["ink\0"],
            "parents": [name_of("base")],
            "sidecars": {"source": "civitai", "model_id": "1", "model_name": "Ink", "version_name": "v1"},
        }
    )
    with database.farm_work() as session:
        assert model_descriptions.list_wanted(session, theirs, {told.sha256: told.stamp}) != []
        model_descriptions.keep(session, theirs, [told])
        assert model_descriptions.list_wanted(session, theirs, {told.sha256: told.stamp}) == []
        assert model_descriptions.list_wanted(session, ours, {told.sha256: told.stamp}) != []
    following.follow(database, tenant)
    following.follow(database, other_tenant)
    assert shown(database, tenant, "x").model.format == "unknown"
    known = shown(database, other_tenant, "x").model
    assert (known.format, known.triggers) == ("safetensors", ("ink�",))
    assert known.version is not None
    assert (known.version.family, known.version.version) == ("Ink", "v1")
    assert [(parent.parent, parent.stated) for parent in known.parents] == [(None, name_of("base"))]
