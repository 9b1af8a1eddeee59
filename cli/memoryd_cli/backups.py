"""A whole copy of an installation in a folder, and an installation made from it: database, keys, blobs.

backup.json       what is here, with hashes; written last, so that a folder with one is a whole backup
database.dump     all schemas, without rights and owners (Postgres's custom format)
keys/             the key files, mode 600: whoever has the folder can read and sign as the server
blobs.jsonl       every blob: storage key, which ends in its SHA-256, and size
blobs/            their bytes, unless --manifest-only
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from memoryd.access import directory
from memoryd.app.connecting import addresses, embedded_cluster, upgrade
from memoryd.foundation.database import Database
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.errors import Conflict, NotAcceptable, Unavailable
from memoryd.foundation.ids import new_id
from memoryd.foundation.migrations import ensure_farm_role, require_current, schema_states
from memoryd.foundation.settings import SECRET_FOLDER_MODE, Settings, write_secret
from memoryd.storage.blob_store import BlobStore
from memoryd_cli import queries

FORMAT_VERSION = 1
DESCRIPTION = "backup.json"
DUMP = "database.dump"
BLOB_LIST = "blobs.jsonl"
UNFINISHED = ".unfinished"
"""Marks a folder as a backup under way, and a home as a restore under way: both are taken up again."""

CLUSTERS_OWN = ("postgres_", "memoryd-cluster")
"""Key files that belong to one Postgres cluster, not to what it holds."""

COPY_BYTES = 1024 * 1024

Say = Callable[[str], None]


class NotABackup(NotAcceptable):
    """This folder holds no whole backup."""


class FolderTaken(Conflict):
    """This folder holds something else."""


class HomeTaken(Conflict):
    """There is an installation already."""


class BackupDamaged(Conflict):
    """The backup is not what was written."""


class DumpFailed(Unavailable):
    """Postgres's own program for copying failed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A blob of a backup."""

    tenant: str
    sha256: bytes
    size: int

    @property
    def key(self) -> str:
        """Where it lies below the folder of blobs."""
        return f"{self.tenant}/{self.sha256.hex()[:2]}/{self.sha256.hex()}"


# --- backup


def make_backup(settings: Settings, folder: Path, *, manifest_only: bool, say: Say) -> dict[str, Any]:
    """Write a backup into a folder, new or of an earlier backup; return its description. Safe to interrupt and repeat.

    The database is copied first: every blob that it names is on disk by then, and blobs are only ever added.
    Raises: FolderTaken, DumpFailed, SchemaBehind, DatabaseDown, BlobDamaged, OSError.
    """
    _claim(folder)
    where = addresses(settings)
    states = schema_states(where.owner)
    require_current(states)
    tenants = _tenants(where.server)
    say("database …")
    dump = folder / DUMP
    unfinished = dump.with_name(dump.name + UNFINISHED)
    schemas = [f"--schema={state.schema}" for state in states]
    # Owners and rights are given anew at a restore, by the very code that gives them to a new installation.
    _run_program(
        settings, "pg_dump", where.owner, "--format=custom", "--no-owner", "--no-privileges", *schemas,
        f"--file={unfinished}",
    )  # fmt: skip
    unfinished.chmod(0o600)
    unfinished.replace(dump)
    say("keys …")
    keys = _copy_keys(settings.secrets_folder, folder / "keys")
    say("blobs …")
    blobs = _list_blobs(settings.home / "blobs", folder / BLOB_LIST)
    if not manifest_only:
        _copy_blobs(settings.home / "blobs", folder / "blobs", folder / BLOB_LIST)
    description: dict[str, Any] = {
        "kind": "memoryd backup",
        "v": FORMAT_VERSION,
        "id": str(new_id()),
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "heads": {state.schema: state.head for state in states},
        "tenants": tenants,
        "database": {"sha256": _hash_file(dump), "size": dump.stat().st_size},
        "keys": keys,
        "blobs": {**blobs, "sha256": _hash_file(folder / BLOB_LIST), "copied": not manifest_only},
    }
    _write_whole(folder / DESCRIPTION, json.dumps(description, indent=2).encode())
    (folder / UNFINISHED).unlink()
    return description


def _claim(folder: Path) -> None:
    folder.mkdir(mode=SECRET_FOLDER_MODE, parents=True, exist_ok=True)
    ours = (folder / DESCRIPTION).exists() or (folder / UNFINISHED).exists()
    if not ours and any(folder.iterdir()):
        raise FolderTaken(f"{folder} is not empty and holds no backup", hint="name a new folder")
    (folder / UNFINISHED).touch()
    folder.chmod(SECRET_FOLDER_MODE)


def _tenants(server_url: str) -> list[dict[str, str]]:
    database = Database(server_url, pool_size=1)
    try:
        with database.farm_work() as session:
            found = directory.show_tenants(session)
    finally:
        database.close()
    return [{"slug": t.scope.slug, "name": t.name, "schema": t.scope.schema, "role": t.scope.role} for t in found]


def _copy_keys(source: Path, target: Path) -> dict[str, str]:
    target.mkdir(mode=SECRET_FOLDER_MODE, exist_ok=True)
    copied = {}
    for path in sorted(source.rglob("*")) if source.is_dir() else ():
        name = path.relative_to(source).as_posix()
        if path.is_file() and not name.startswith(CLUSTERS_OWN):
            content = path.read_bytes()
            write_secret(target / name, content)
            copied[name] = hashlib.sha256(content).hexdigest()
    return copied


def _list_blobs(store: Path, target: Path) -> dict[str, int]:
    count = total = 0
    unfinished = target.with_name(target.name + UNFINISHED)
    with unfinished.open("w", encoding="ascii") as lines:
        for blob in _blobs_in(store):
            lines.write(json.dumps({"tenant": blob.tenant, "sha256": blob.sha256.hex(), "size": blob.size}) + "\n")
            count, total = count + 1, total + blob.size
    unfinished.replace(target)
    return {"count": count, "bytes": total}


def _blobs_in(store: Path) -> Iterator[Listed]:
    for tenant in sorted(store.iterdir()) if store.is_dir() else ():
        if tenant.name.startswith(".") or not tenant.is_dir():
            continue
        for shard in sorted(tenant.iterdir()):
            for path in sorted(shard.iterdir()) if shard.is_dir() and len(shard.name) == 2 else ():
                try:
                    sha256 = bytes.fromhex(path.name)
                except ValueError:
                    continue
                if len(sha256) == hashlib.sha256().digest_size:
                    yield Listed(tenant=tenant.name, sha256=sha256, size=path.stat().st_size)


def _listed(blob_list: Path) -> Iterator[Listed]:
    with blob_list.open(encoding="ascii") as lines:
        for line in lines:
            row = json.loads(line)
            yield Listed(tenant=str(row["tenant"]), sha256=bytes.fromhex(row["sha256"]), size=int(row["size"]))


def _copy_blobs(source: Path, target: Path, blob_list: Path) -> None:
    """Copy what is not there yet; the store checks every byte against the blob's name (INV-1)."""
    store = BlobStore(target)
    for blob in _listed(blob_list):
        store.put_file(blob.tenant, source / blob.key, sha256=blob.sha256)


# --- restore


def restore_backup(settings: Settings, folder: Path, *, say: Say) -> dict[str, Any]:
    """Make an installation from a backup, in a home and a database that are empty; return the backup's description.

    An interrupted restore is taken up by the same command. Leases that were out end at the server's next start.
    Raises: NotABackup, BackupDamaged, HomeTaken, DumpFailed, DatabaseDown, OSError.
    """
    description = read_description(folder)
    say("checking the backup …")
    _check(folder, description)
    home = settings.home
    going_on = _claim_home(settings, str(description["id"]))
    for name in description["keys"]:
        write_secret(settings.secrets_folder / name, (folder / "keys" / name).read_bytes())
    where = addresses(settings)
    if not schema_states(where.owner):
        say("database …")
        ensure_farm_role(where.owner)
        directory.restore_roles(where.owner, [str(tenant["role"]) for tenant in description["tenants"]])
        # One transaction: an interrupted restore leaves an empty database, and not half of one.
        _run_program(
            settings, "pg_restore", where.owner, "--single-transaction", "--exit-on-error", "--no-owner",
            "--no-privileges", str(folder / DUMP),
        )  # fmt: skip
    elif not going_on:
        raise HomeTaken("the database holds tables of memoryd", hint="name an empty one in MEMORYD_DATABASE_URL")
    say("rights and schema versions …")
    upgrade(settings)
    queries.mark_restored(where.owner)
    if description["blobs"]["copied"]:
        say("blobs …")
        _copy_blobs(folder / "blobs", home / "blobs", folder / BLOB_LIST)
    else:
        say(f"{description['blobs']['count']} blobs are not in this backup: put them back into {home / 'blobs'}")
    (home / UNFINISHED).unlink()
    return description


def read_description(folder: Path) -> dict[str, Any]:
    """Return what a backup says of itself. Raises: NotABackup."""
    try:
        description = json.loads((folder / DESCRIPTION).read_bytes())
        if description["kind"] != "memoryd backup" or description["v"] != FORMAT_VERSION:
            raise NotABackup(f"{folder / DESCRIPTION} describes something else", hint="use the memoryd that made it")
    except (OSError, ValueError, KeyError, TypeError):
        raise NotABackup(
            f"{folder / DESCRIPTION} cannot be read", hint="a backup that was interrupted is completed by repeating it"
        ) from None
    return dict(description)


def _check(folder: Path, description: dict[str, Any]) -> None:
    wanted = {DUMP: description["database"]["sha256"], BLOB_LIST: description["blobs"]["sha256"]}
    wanted |= {f"keys/{name}": digest for name, digest in description["keys"].items()}
    for name, digest in wanted.items():
        path = folder / name
        if ".." in Path(name).parts or not path.is_file() or _hash_file(path) != digest:
            raise BackupDamaged(f"{path} is missing or was changed", hint="take another backup")
    if description["blobs"]["copied"]:
        for blob in _listed(folder / BLOB_LIST):
            path = folder / "blobs" / blob.key
            # Every byte is checked when it is copied; that a file is missing is better known before.
            if not path.is_file() or path.stat().st_size != blob.size:
                raise BackupDamaged(f"{path} is missing or was cut off", hint="take another backup")


def _claim_home(settings: Settings, backup_id: str) -> bool:
    """Mark the home as being restored; return whether it was before, from this very backup."""
    mark = settings.home / UNFINISHED
    if mark.exists() and mark.read_text(encoding="utf-8") == backup_id:
        return True
    cluster = embedded_cluster(settings)
    holds = [name for name in ("keys", "blobs", UNFINISHED) if _holds_anything(settings.home / name)]
    if holds or (cluster is not None and cluster.is_made()):
        raise HomeTaken(
            f"{settings.home} holds {', '.join(holds) or 'a database'}",
            hint="name an empty folder in MEMORYD_HOME; nothing is ever written over",
        )
    settings.home.mkdir(mode=SECRET_FOLDER_MODE, parents=True, exist_ok=True)
    _write_whole(mark, backup_id.encode())
    return False


def _holds_anything(path: Path) -> bool:
    return path.exists() and (not path.is_dir() or any(path.iterdir()))


# --- both


def _run_program(settings: Settings, name: str, url: str, *arguments: str) -> None:
    address, password = queries.password_apart(url)
    environment = {**os.environ, **({"PGPASSWORD": password} if password else {})}
    command = [str(_program(settings, name, url)), f"--dbname={address}", "--no-password", *arguments]
    outcome = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if outcome.returncode != 0:
        said = (outcome.stderr.strip() or "it gave no reason").splitlines()
        raise DumpFailed(f"{name}: {said[0]}", hint="see `memoryd doctor`")


def _program(settings: Settings, name: str, url: str) -> Path:
    """Return the program: ours, unless an external Postgres is newer than it. Raises: DumpFailed."""
    ours = Cluster(settings.home).binary(name)
    if embedded_cluster(settings) is not None:
        return ours
    version = subprocess.run([str(ours), "--version"], capture_output=True, text=True, check=True).stdout
    if queries.server_major(url) <= int(version.split()[-1].split(".")[0]):
        return ours
    theirs = shutil.which(name)
    if theirs is None:
        raise DumpFailed(
            f"{name} is older than the Postgres it should copy", hint="install its postgresql-client package"
        )
    return Path(theirs)


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_whole(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
