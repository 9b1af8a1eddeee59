"""An installation is copied, made again elsewhere, and examined: with a real Postgres in each home."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from memoryd.access import audit, directory, keys, people, sealer, trail_export
from memoryd.access.facts import Caller, Scope
from memoryd.app import connecting
from memoryd.dispatch import tending
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.settings import Settings
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import register
from memoryd_cli import backups, database_admin
from memoryd_cli import people as people_commands
from memoryd_cli.doctor import Finding, State, examine

RUN = CliRunner()
app = typer.Typer()
database_admin.register(app)
people_commands.register(app)


def silent(_: str) -> None:
    return None


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("installations")
    yield place
    for home in place.iterdir():
        if (home / "keys").is_dir():
            Cluster(home).destroy()
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def lived_in(place: Path) -> Settings:
    """An installation in which something happened: two tenants, a blob, a key, a sealed trail."""
    settings = Settings(home=place / "first")
    settings.home.mkdir(mode=0o700)
    connecting.upgrade(settings)
    directory.add_tenant(connecting.owner_url(settings), "acme", "ACME")
    database = connecting.server_database(settings)
    tending.begin(database)
    acme = scope_of(database, "acme")
    store = BlobStore(settings.home / "blobs")
    with database.tenant_work(acme) as session:
        register(session, [store.put_bytes("acme", b"a picture"), store.put_bytes("acme", b"another")])
        local = people.find_person(session, "local")
        made = keys.make_key(session, acme, name="nightly", scopes=frozenset({Scope.READ}), person=local)
    (settings.home / "token").write_text(made.token)
    caller = keys.recognise_key(database, made.token)
    assert isinstance(caller, Caller)
    with database.tenant_work(acme) as session:
        audit.note(session, caller, "asset.tag", "one", {})
    sealer.seal_once(database, acme, settings.secrets_folder)
    sealer.checkpoint_once(database, acme, settings.secrets_folder)
    database.close()
    return settings


@pytest.fixture(scope="module")
def backup(lived_in: Settings, place: Path) -> Path:
    folder = place / "backup"
    backups.make_backup(lived_in, folder, manifest_only=False, say=silent)
    return folder


def scope_of(database: Database, slug: str) -> TenantScope:
    with database.farm_work() as session:
        return directory.find_tenant(session, slug)


def unwell(settings: Settings) -> list[Finding]:
    return [finding for finding in examine(settings) if finding.state is State.FAIL]


def test_a_restored_installation_is_the_same_one_and_passes_the_doctor(
    lived_in: Settings, backup: Path, place: Path
) -> None:
    home = place / "second"
    restored = Settings(home=home)
    backups.restore_backup(restored, backup, say=silent)
    assert unwell(restored) == []
    database = connecting.server_database(restored)
    try:
        acme = scope_of(database, "acme")
        token = (lived_in.home / "token").read_text()
        assert isinstance(keys.recognise_key(database, token), Caller)
        verdict = trail_export.verify_trail(database, acme, restored.secrets_folder)
        assert (verdict.intact, verdict.entries, verdict.signed_to) == (True, 1, 1)
        with database.tenant_work(acme) as session:
            assert audit.list_entries(session, restored.secrets_folder).rows[0].who == "local"
        assert tending.begin(database), "the copy must know that it is one, and end the leases it came with (INV-4)"
        store = BlobStore(home / "blobs")
        assert store.read_verified("acme", bytes.fromhex(blob_names(backup)[0])) in {b"a picture", b"another"}
    finally:
        database.close()
    with pytest.raises(backups.HomeTaken):
        backups.restore_backup(restored, backup, say=silent)


def blob_names(backup: Path) -> list[str]:
    return [json.loads(line)["sha256"] for line in (backup / backups.BLOB_LIST).read_text().splitlines()]


def test_a_backup_is_readable_by_its_owner_alone_and_leaves_the_clusters_own_keys(backup: Path) -> None:
    assert stat.S_IMODE(backup.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (backup / "keys").rglob("*") if path.is_file()}
    assert modes == {0o600}
    names = {path.name for path in (backup / "keys").iterdir()}
    assert names == {"audit_signing.key", "people.key"}


def test_a_backup_is_renewed_in_place_and_copies_only_what_is_new(lived_in: Settings, backup: Path) -> None:
    before = {path: path.stat().st_ino for path in (backup / "blobs").rglob("*") if path.is_file()}
    first = backups.read_description(backup)["id"]
    again = backups.make_backup(lived_in, backup, manifest_only=False, say=silent)
    assert again["id"] != first
    assert {path: path.stat().st_ino for path in before} == before
    assert not (backup / backups.UNFINISHED).exists()


def test_a_folder_that_holds_something_else_is_left_alone(lived_in: Settings, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(backups.FolderTaken):
        backups.make_backup(lived_in, tmp_path, manifest_only=True, say=silent)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize("what", ["database.dump", "blobs.jsonl", "keys/people.key", "blobs", "backup.json"])
def test_a_backup_that_was_changed_is_refused_before_anything_is_made(backup: Path, tmp_path: Path, what: str) -> None:
    bent = tmp_path / "bent"
    shutil.copytree(backup, bent)
    if what == "blobs":
        next(path for path in (bent / "blobs").rglob("*") if path.is_file()).unlink()
    else:
        (bent / what).write_bytes(b"x")
    home = tmp_path / "home"
    with pytest.raises((backups.BackupDamaged, backups.NotABackup)):
        backups.restore_backup(Settings(home=home), bent, say=silent)
    assert not home.exists()


def test_a_manifest_alone_is_restored_without_bytes_the_doctor_says_so_and_all_is_removed_again(
    lived_in: Settings, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slim = tmp_path / "slim"
    backups.make_backup(lived_in, slim, manifest_only=True, say=silent)
    assert not (slim / "blobs").exists()
    restored = Settings(home=place / "third")
    with monkeypatch.context() as patch:
        patch.setattr(backups, "upgrade", interrupted)
        with pytest.raises(KeyboardInterrupt):
            backups.restore_backup(restored, slim, say=silent)
    # The same command takes it up again.
    backups.restore_backup(restored, slim, say=silent)
    (finding,) = unwell(restored)
    assert finding.check == "blobs of acme"
    shutil.copytree(lived_in.home / "blobs", restored.home / "blobs")
    assert unwell(restored) == []
    monkeypatch.setenv("MEMORYD_HOME", str(restored.home))
    cluster = Cluster(restored.home)
    assert RUN.invoke(app, ["db", "destroy"], input="n\n").exit_code == 1
    (restored.home / "local.json").write_text("{}")
    assert RUN.invoke(app, ["db", "destroy", "--yes"]).exit_code == 1, "a server runs from this home"
    (restored.home / "local.json").unlink()
    assert cluster.is_made()
    assert RUN.invoke(app, ["db", "destroy", "--yes"]).exit_code == 0
    assert not cluster.is_made()


def interrupted(_: Settings) -> None:
    raise KeyboardInterrupt


# --- the doctor, and the commands


def test_the_doctor_names_what_is_wrong_and_what_to_do(lived_in: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORYD_HOME", str(lived_in.home))
    open_key = lived_in.secrets_folder / "people.key"
    blob = next(path for path in (lived_in.home / "blobs" / "acme").rglob("*") if path.is_file())
    content = blob.read_bytes()
    open_key.chmod(0o644)
    blob.chmod(0o600)
    blob.write_bytes(b"x" * len(content))
    try:
        answer = RUN.invoke(app, ["doctor", "--json"])
        assert answer.exit_code == 1
        failed = {line["check"]: line for line in json.loads(answer.output)["items"] if line["state"] == "fail"}
        assert set(failed) == {"keys", "blobs of acme"}
        assert "1 damaged" in failed["blobs of acme"]["said"]
        assert all(line["next_step"] for line in failed.values())
    finally:
        open_key.chmod(0o600)
        blob.write_bytes(content)
    answer = RUN.invoke(app, ["doctor"])
    assert answer.exit_code == 0, answer.output
    assert "ok    audit trail of acme: 1 entries" in answer.output


def test_where_nothing_is_yet_the_doctor_warns_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMORYD_HOME", str(tmp_path / "none"))
    answer = RUN.invoke(app, ["doctor"])
    assert answer.exit_code == 0
    assert "warn  database: there is none yet" in answer.output
    assert "not made yet" in RUN.invoke(app, ["db", "status"]).output
    assert not (tmp_path / "none").exists()


def test_status_says_where_the_schemas_stand(lived_in: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORYD_HOME", str(lived_in.home))
    answer = json.loads(RUN.invoke(app, ["db", "status", "--json"]).output)
    assert answer["answers"]
    assert {schema["schema"]: schema["current"] for schema in answer["items"]} == {
        "farm": True,
        "t_acme": True,
        "t_default": True,
    }


def test_tenants_are_added_and_listed_and_an_administrator_gets_a_link(
    lived_in: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMORYD_HOME", str(lived_in.home))
    monkeypatch.setenv("MEMORYD_URL", "https://studio.example/")
    answer = RUN.invoke(app, ["tenants", "add", "bureau", "--name", "Bureau", "--admin", "ada"])
    assert answer.exit_code == 0, answer.output
    assert "https://studio.example/sign-in?token=bureau." in answer.output
    assert (
        "https://studio.example/sign-in?token=bureau." in RUN.invoke(app, ["tenants", "admin", "bureau", "bob"]).output
    )
    assert "bureau\tBureau\tactive\tt_bureau" in RUN.invoke(app, ["tenants", "list"]).output
