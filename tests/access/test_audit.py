from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from memoryd.access import audit, people, sealer, sealing, trail_export
from memoryd.access.chain import Defect
from memoryd.access.facts import Caller, Role
from memoryd.foundation.canonical_json import canonical_bytes
from memoryd.foundation.database import Database, TenantScope

Note = Callable[..., None]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def note(database: Database, tenant: TenantScope, caller: Caller) -> Note:
    def noted(*subjects: str, by: Caller | None = caller) -> None:
        with database.tenant_work(tenant) as session:
            for subject in subjects:
                audit.note(session, by, "asset.tag", subject, {"tag": "blau", "seed": 2**64 - 1})

    return noted


def entries(database: Database, tenant: TenantScope, keys: Path, **kwargs: str) -> list[tuple[int, str, str | None]]:
    with database.tenant_work(tenant) as session:
        page = audit.list_entries(session, keys, **kwargs)
    return [(entry.seq, entry.subject, entry.who) for entry in page.rows]


def test_what_was_noted_is_sealed_in_order_and_shows_who_acted(
    database: Database, tenant: TenantScope, keys: Path, note: Note
) -> None:
    note("one", "two")
    note("three", by=None)
    assert sealer.seal_once(database, tenant, keys) == 3
    assert sealer.seal_once(database, tenant, keys) == 0
    assert entries(database, tenant, keys) == [(3, "three", None), (2, "two", "ada"), (1, "one", "ada")]
    assert trail_export.verify_trail(database, tenant, keys).intact


def test_an_action_that_is_rolled_back_leaves_no_entry(
    database: Database, tenant: TenantScope, keys: Path, caller: Caller
) -> None:
    def fails() -> None:
        with database.tenant_work(tenant) as session:
            audit.note(session, caller, "asset.tag", "one", {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert sealer.seal_once(database, tenant, keys) == 0


def test_hostile_text_in_subject_and_facts_can_be_noted_and_sealed(
    database: Database, tenant: TenantScope, keys: Path, caller: Caller
) -> None:
    with database.tenant_work(tenant) as session:
        audit.note(session, caller, "file.read", "a\x00b\ud800", {"name": "c\x00d\udfff"})
    sealer.seal_once(database, tenant, keys)
    with database.tenant_work(tenant) as session:
        (entry,) = audit.list_entries(session, keys).rows
    assert (entry.subject, entry.facts) == ("a\ufffdb\ufffd", {"name": "c\x00d\udfff"})
    assert trail_export.verify_trail(database, tenant, keys).intact


def test_facts_beyond_the_limit_are_refused(database: Database, tenant: TenantScope, caller: Caller) -> None:
    with pytest.raises(audit.FactsTooLarge), database.tenant_work(tenant) as session:
        audit.note(session, caller, "asset.tag", "one", {"text": "x" * audit.FACTS_LIMIT})


def test_two_sealers_at_once_make_one_chain(
    database: Database, tenant: TenantScope, keys: Path, note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    note("one")
    inner: list[int] = []
    insert = sealer.queries.insert_entries

    def meanwhile(*args: object) -> None:
        # In the middle of this sealer's transaction another one comes by: it finds the lock taken and leaves.
        inner.append(sealer.seal_once(database, tenant, keys))
        insert(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(sealer.queries, "insert_entries", meanwhile)
    assert sealer.seal_once(database, tenant, keys) == 1
    assert inner == [0]
    assert trail_export.verify_trail(database, tenant, keys).entries == 1


def test_the_unsealed_tail_is_reported(database: Database, tenant: TenantScope, keys: Path, note: Note) -> None:
    note("one")
    sealer.seal_once(database, tenant, keys)
    note("two", "three")
    verdict = trail_export.verify_trail(database, tenant, keys)
    assert (verdict.intact, verdict.entries, verdict.unsealed) == (True, 1, 2)


def test_a_checkpoint_is_signed_when_there_is_something_new(
    database: Database, tenant: TenantScope, keys: Path, note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not sealer.checkpoint_once(database, tenant, keys)
    note("one")
    sealer.seal_once(database, tenant, keys)
    assert trail_export.verify_trail(database, tenant, keys).signed_to == 0
    assert sealer.checkpoint_once(database, tenant, keys)
    assert not sealer.checkpoint_once(database, tenant, keys)
    assert trail_export.verify_trail(database, tenant, keys).signed_to == 1
    monkeypatch.setattr(sealer, "CHECKPOINT_ENTRIES", 2)
    note("two", "three")
    sealer.seal_once(database, tenant, keys)
    assert trail_export.verify_trail(database, tenant, keys).signed_to == 3


def test_key_files_are_readable_by_their_owner_alone(
    database: Database, tenant: TenantScope, keys: Path, note: Note
) -> None:
    note("one")
    sealer.seal_once(database, tenant, keys)
    sealer.checkpoint_once(database, tenant, keys)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {
        sealer.SIGNING_KEY_FILE: 0o600,
        sealing.WRAPPING_KEY_FILE: 0o600,
    }


def test_an_erased_person_is_unknown_in_the_trail_which_stays_intact(
    database: Database, tenant: TenantScope, keys: Path, note: Note, caller: Caller
) -> None:
    assert caller.person_id is not None
    note("one")
    sealer.seal_once(database, tenant, keys)
    note("two")  # not sealed yet when the person goes
    with database.tenant_work(tenant) as session:
        people.erase_person(session, caller.person_id)
    sealer.seal_once(database, tenant, keys)
    assert entries(database, tenant, keys) == [(2, "two", None), (1, "one", None)]
    assert trail_export.verify_trail(database, tenant, keys).intact
    with database.tenant_work(tenant) as session:
        assert [person.login for person in people.list_people(session)] == ["local"]
        assert all(entry.erased for entry in audit.list_entries(session, keys).rows)


def test_without_the_key_file_names_stay_closed_and_say_so(
    database: Database, tenant: TenantScope, keys: Path, note: Note
) -> None:
    note("one")
    sealer.seal_once(database, tenant, keys)
    (keys / sealing.WRAPPING_KEY_FILE).write_bytes(bytes(32))
    with pytest.raises(sealing.SealBroken, match="not those"):
        entries(database, tenant, keys)


def test_entries_come_in_pages_and_by_action_and_subject(
    database: Database, tenant: TenantScope, keys: Path, note: Note
) -> None:
    note("one", "two", "three")
    sealer.seal_once(database, tenant, keys)
    assert [s for _, s, _ in entries(database, tenant, keys, subject="two", action="asset.tag")] == ["two"]
    assert len(entries(database, tenant, keys, action="asset.")) == 3
    assert entries(database, tenant, keys, action="asset") == []
    with database.tenant_work(tenant) as session:
        first = audit.list_entries(session, keys, limit=2)
        rest = audit.list_entries(session, keys, limit=2, cursor=first.next_cursor)
    assert [entry.seq for entry in (*first.rows, *rest.rows)] == [3, 2, 1]
    assert rest.next_cursor is None


# --- INV-9: somebody with the owner's rights tampers with the table


TAMPERINGS = {
    "changed body": ("update audit_entry set body = convert_to('{}', 'utf8') where seq = 2",
                     {Defect.CHANGED, Defect.MISLABELLED}),
    "changed label": ("update audit_entry set subject = 'x' where seq = 2", {Defect.MISLABELLED}),
    "removed": ("delete from audit_entry where seq = 2", {Defect.REMOVED}),
    "first removed": ("delete from audit_entry where seq = 1", {Defect.REMOVED}),
    "reordered": ("update audit_entry set seq = case seq when 2 then -3 else -2 end where seq in (2, 3);"
                  "update audit_entry set seq = -seq where seq < 0", {Defect.CHANGED}),
    "inserted": ("insert into audit_entry select 6, at, action, subject, person_id, body, personal_sealed, hash"
                 " from audit_entry where seq = 5", {Defect.CHANGED}),
    "truncated": ("delete from audit_entry where seq > 2", {Defect.TRUNCATED}),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERINGS)
def test_tampering_is_found_in_the_database_and_offline(
    database: Database, tenant: TenantScope, keys: Path, note: Note, owner_url: str, how: str
) -> None:
    note("one", "two", "three", "four", "five")
    sealer.seal_once(database, tenant, keys)
    sealer.checkpoint_once(database, tenant, keys)
    statement, expected = TAMPERINGS[how]
    with psycopg.connect(owner_url) as connection:
        connection.execute(f"set search_path = {tenant.schema}")
        connection.execute(statement)
    found = trail_export.verify_trail(database, tenant, keys)
    offline = trail_export.verify_export(
        b"".join(trail_export.export_trail(database, tenant)).splitlines(keepends=True)
    )
    for verdict in (found, offline):
        assert {finding.defect for finding in verdict.findings} == expected


def test_a_trail_cut_off_with_its_checkpoints_is_found_only_against_one_kept_outside(
    database: Database, tenant: TenantScope, keys: Path, note: Note, owner_url: str
) -> None:
    note("one", "two")
    sealer.seal_once(database, tenant, keys)
    sealer.checkpoint_once(database, tenant, keys)
    with database.tenant_work(tenant) as session:
        kept = sealer.find_checkpoint(session)
    assert kept is not None
    outside = trail_export.read_checkpoint(canonical_bytes(trail_export.checkpoint_document(kept)))
    with psycopg.connect(owner_url) as connection:
        connection.execute(f"set search_path = {tenant.schema}")
        connection.execute("delete from audit_entry where seq > 1; delete from audit_checkpoint")
    assert trail_export.verify_trail(database, tenant, keys).intact
    verdict = trail_export.verify_trail(database, tenant, keys, (outside,))
    assert [finding.defect for finding in verdict.findings] == [Defect.TRUNCATED]


# --- the export


@pytest.fixture
def exported(database: Database, tenant: TenantScope, keys: Path, note: Note) -> list[bytes]:
    note("one", "two", "three")
    sealer.seal_once(database, tenant, keys)
    sealer.checkpoint_once(database, tenant, keys)
    return b"".join(trail_export.export_trail(database, tenant)).splitlines(keepends=True)


def test_an_export_verifies_offline_and_names_nobody(exported: list[bytes]) -> None:
    verdict = trail_export.verify_export(exported)
    assert (verdict.intact, verdict.entries, verdict.signed_to) == (True, 3, 3)
    # Quoted, as a name would stand there: three hex digits come by chance.
    assert b'"ada"' not in b"".join(exported)


def test_an_export_that_was_cut_off_is_found(exported: list[bytes]) -> None:
    assert Defect.TRUNCATED in {f.defect for f in trail_export.verify_export(exported[:-1]).findings}
    assert Defect.TRUNCATED in {f.defect for f in trail_export.verify_export(exported[:2]).findings}


def test_an_export_in_which_anything_was_changed_is_found(exported: list[bytes]) -> None:
    for place, line in enumerate(exported[1:-1], start=1):
        for member, value in json.loads(line).items():
            other = {"seq": value, "person": None} if member in {"seq", "person"} else {member: "x"}
            if member == "seq":
                other = {"seq": value + 7}
            elif member == "person":
                other = {"person": "0199d000-0000-7000-8000-000000000000"}
            bent = [*exported]
            bent[place] = canonical_bytes({**json.loads(line), **other}) + b"\n"
            assert not trail_export.verify_export(bent).intact, (place, member)


@pytest.mark.parametrize("content", [b"", b"{}\n", b"\xff\xfe", b'{"kind":"memoryd audit trail","v":9}', b"[1]\n"])
def test_another_file_is_no_export(content: bytes) -> None:
    with pytest.raises(trail_export.NotAnExport):
        trail_export.verify_export(content.splitlines(keepends=True))


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"kind":"memoryd audit checkpoint"}', b"\x00"])
def test_another_file_is_no_checkpoint(content: bytes) -> None:
    with pytest.raises(trail_export.NotACheckpoint):
        trail_export.read_checkpoint(content)


def test_a_role_granted_twice_is_one_membership(database: Database, tenant: TenantScope, caller: Caller) -> None:
    assert caller.person_id is not None
    with database.tenant_work(tenant) as session:
        people.grant_role(session, caller.person_id, Role.OFFICER)
        assert [m.role for m in people.show_person_by_id(session, caller.person_id).memberships] == [Role.OFFICER]
