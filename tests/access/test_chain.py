from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.access.chain import (
    ChainCheck,
    ChainVerdict,
    Checkpoint,
    Defect,
    SealedEntry,
    checkpoint_statement,
    entry_body,
    entry_hash,
    genesis,
)
from memoryd.foundation.ids import TenantId

TENANT = TenantId(uuid.UUID(int=7))
NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))


def trail(length: int, *, tenant: TenantId = TENANT, word: str = "asset.tag") -> list[SealedEntry]:
    entries, prev = [], genesis(tenant)
    for seq in range(1, length + 1):
        at = NOON + datetime.timedelta(seconds=seq)
        body = entry_body(
            at=at, action=word, subject=f"s{seq}", via="key", key_id=None, person_id=None, facts={"seed": 2**64 - seq}
        )
        sealed = bytes([seq % 256]) * 40 if seq % 2 else None
        prev = entry_hash(prev, seq, body, sealed)
        entries.append(
            SealedEntry(
                seq=seq,
                at=at,
                action=word,
                subject=f"s{seq}",
                person_id=None,
                body=body,
                personal_sealed=sealed,
                hash=prev,
            )
        )
    return entries


def relinked(entries: Sequence[SealedEntry]) -> list[SealedEntry]:
    """The trail as one who knows the recipe, and not the signing key, would forge it: numbered and hashed anew."""
    forged, prev = [], genesis(TENANT)
    for seq, entry in enumerate(entries, start=1):
        prev = entry_hash(prev, seq, entry.body, entry.personal_sealed)
        forged.append(dataclasses.replace(entry, seq=seq, hash=prev))
    return forged


def checkpoint(entry: SealedEntry, *, key: Ed25519PrivateKey = KEY, tenant: TenantId = TENANT) -> Checkpoint:
    statement = checkpoint_statement(tenant, entry.seq, entry.hash, NOON)
    return Checkpoint(
        statement=statement, public_key=key.public_key().public_bytes_raw(), signature=key.sign(statement)
    )


def check(entries: Sequence[SealedEntry], *checkpoints: Checkpoint, trusted: bytes | None = None) -> ChainVerdict:
    checked = ChainCheck(TENANT, checkpoints, trusted_key=trusted)
    checked.feed(entries)
    return checked.verdict()


def defects(verdict: ChainVerdict) -> set[Defect]:
    return {finding.defect for finding in verdict.findings}


def test_a_trail_as_it_was_sealed_is_intact() -> None:
    entries = trail(9)
    verdict = check(entries, checkpoint(entries[3]), checkpoint(entries[6]))
    assert verdict.intact
    assert (verdict.entries, verdict.last_seq, verdict.checkpoints, verdict.signed_to) == (9, 9, 2, 7)


def test_an_empty_trail_is_intact() -> None:
    assert check([]).intact


def test_the_recipe_is_the_one_that_was_published() -> None:
    # A change of this digest is another recipe: old trails would no longer verify.
    assert trail(3)[-1].hash.hex() == "634f9f5d9a0b77893ad5d65af6fde84685940ea0604afb27332c84d3e7854868"


@given(place=st.integers(0, 7), flip=st.integers(0, 39))
@settings(max_examples=25, deadline=None)
def test_a_changed_byte_of_any_body_is_found_and_located(place: int, flip: int) -> None:
    entries = trail(8)
    body = bytearray(entries[place].body)
    body[flip % len(body)] ^= 1
    entries[place] = dataclasses.replace(entries[place], body=bytes(body))
    assert (Defect.CHANGED, place + 1) in {(f.defect, f.seq) for f in check(entries).findings}


@given(place=st.integers(0, 7))
@settings(max_examples=8, deadline=None)
def test_a_changed_personal_part_is_found(place: int) -> None:
    entries = trail(8)
    entries[place] = dataclasses.replace(entries[place], personal_sealed=b"somebody else")
    assert defects(check(entries)) == {Defect.CHANGED}


@given(place=st.integers(0, 6))
@settings(max_examples=7, deadline=None)
def test_a_removed_entry_is_found_and_named(place: int) -> None:
    entries = trail(8)
    del entries[place]
    (finding,) = check(entries).findings
    assert (finding.defect, finding.seq) == (Defect.REMOVED, place + 1)


@given(st.permutations(range(6)))
@settings(max_examples=25, deadline=None)
def test_every_other_order_is_found(order: list[int]) -> None:
    entries = trail(6)
    assert check([entries[place] for place in order]).intact == (order == sorted(order))


@given(place=st.integers(0, 5))
@settings(max_examples=6, deadline=None)
def test_an_inserted_entry_is_found(place: int) -> None:
    entries = trail(6)
    entries.insert(place, dataclasses.replace(entries[place], body=b"{}", hash=bytes(32)))
    assert not check(entries).intact


def test_an_entry_that_was_changed_and_hashed_anew_no_longer_leads_to_the_next() -> None:
    entries = trail(5)
    body = entries[2].body.replace(b"s3", b"s9")
    forged = entry_hash(entries[1].hash, 3, body, entries[2].personal_sealed)
    entries[2] = dataclasses.replace(entries[2], body=body, subject="s9", hash=forged)
    (finding,) = check(entries).findings
    assert (finding.defect, finding.seq) == (Defect.CHANGED, 4)


def test_what_entries_are_looked_up_by_must_be_what_was_sealed() -> None:
    entries = trail(3)
    entries[1] = dataclasses.replace(entries[1], action="asset.rate")
    assert defects(check(entries)) == {Defect.MISLABELLED}


def test_a_whole_trail_hashed_anew_is_found_against_a_checkpoint() -> None:
    entries = trail(6)
    signed = checkpoint(entries[4])
    forged = relinked(entries[:2] + entries[3:])
    assert check(forged).intact  # without a signature nothing gives it away
    assert defects(check(forged, signed)) == {Defect.REWRITTEN}


def test_a_trail_that_was_cut_off_is_found_against_a_checkpoint() -> None:
    entries = trail(6)
    assert check(entries[:3]).intact
    assert defects(check(entries[:3], checkpoint(entries[4]))) == {Defect.TRUNCATED}


def test_another_tenants_trail_cannot_stand_for_this_one() -> None:
    foreign = trail(3, tenant=TenantId(uuid.UUID(int=8)))
    assert defects(check(foreign)) == {Defect.CHANGED}


def test_a_checkpoint_of_another_tenant_or_another_key_is_refused() -> None:
    entries = trail(3)
    ours = KEY.public_key().public_bytes_raw()
    assert defects(check(entries, checkpoint(entries[1], tenant=TenantId(uuid.UUID(int=8))))) == {Defect.CHECKPOINT}
    assert defects(check(entries, checkpoint(entries[1], key=OTHER_KEY), trusted=ours)) == {Defect.CHECKPOINT}
    bent = dataclasses.replace(checkpoint(entries[1]), signature=bytes(64))
    assert defects(check(entries, bent)) == {Defect.CHECKPOINT}
    assert check(entries, checkpoint(entries[1]), trusted=ours).signed_to == 2


def test_two_checkpoints_that_contradict_each_other_are_found() -> None:
    entries = trail(3)
    forged = dataclasses.replace(entries[1], hash=bytes(32))
    assert Defect.REWRITTEN in defects(check(entries, checkpoint(entries[1]), checkpoint(forged)))


def test_a_verdict_lists_some_findings_and_counts_all() -> None:
    entries = [dataclasses.replace(entry, hash=bytes(32)) for entry in trail(300)]
    verdict = check(entries)
    assert (len(verdict.findings), verdict.defects) == (100, 300)


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"seq":"1"}', b"\xff"])
def test_a_signed_statement_that_says_something_else_is_no_checkpoint(document: bytes) -> None:
    signed = Checkpoint(
        statement=document, public_key=KEY.public_key().public_bytes_raw(), signature=KEY.sign(document)
    )
    assert defects(check(trail(2), signed)) == {Defect.CHECKPOINT}
