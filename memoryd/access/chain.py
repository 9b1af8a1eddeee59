"""The recipe of the audit trail's chain, and its verification: pure, so that it runs offline on an export (INV-9).

`hash = sha256(prev | seq | sha256(body) | sha256(sealed personal part))`, seq as 8 bytes big-endian, every part of
fixed length. The first prev names the tenant, so that one tenant's chain cannot stand for another's. A checkpoint is
an Ed25519 signature over (tenant, seq, hash, time): who changes the trail and computes all hashes anew still meets it.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import hashlib
from collections.abc import Iterable, Sequence
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from memoryd.foundation.canonical_json import Json, NotJson, canonical_bytes, read_json
from memoryd.foundation.ids import TenantId

CHAIN_VERSION = 1
FINDINGS_LIMIT = 100
"""Defects that a verdict lists; the rest is counted."""


class Defect(enum.StrEnum):
    """What can be wrong with a trail."""

    CHANGED = "changed"
    """An entry is not what was sealed, or does not follow the one before it."""
    REMOVED = "removed"
    """Numbers are missing."""
    REORDERED = "reordered"
    """An entry stands where it does not belong, or twice."""
    MISLABELLED = "mislabelled"
    """What an entry is looked up by differs from what was sealed."""
    REWRITTEN = "rewritten"
    """The trail differs from what a checkpoint signed."""
    TRUNCATED = "truncated"
    """The trail ends before a checkpoint, or an export before its last line."""
    CHECKPOINT = "checkpoint"
    """A checkpoint is not signed by the trail's key, or is another trail's."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SealedEntry:
    """An entry as it is stored."""

    seq: int
    at: datetime.datetime
    action: str
    subject: str
    person_id: UUID | None
    body: bytes
    personal_sealed: bytes | None
    hash: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A signed statement of how far a trail had come."""

    statement: bytes
    public_key: bytes
    """32 bytes."""
    signature: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChainFinding:
    """One defect: where, and in a sentence."""

    defect: Defect
    seq: int
    sentence: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChainVerdict:
    """What verification found."""

    entries: int
    last_seq: int
    checkpoints: int
    signed_to: int
    """The last entry that a good checkpoint covers; 0 where there is none."""
    unsealed: int
    """Actions that committed and are not sealed yet: nothing proves them."""
    public_key: bytes | None
    """The key that the checkpoints were checked against; None where there were none."""
    findings: tuple[ChainFinding, ...]
    defects: int

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return self.defects == 0


def genesis(tenant: TenantId) -> bytes:
    """Return what the first entry of a tenant's chain follows."""
    return hashlib.sha256(b"memoryd audit v1" + tenant.bytes).digest()


def entry_hash(prev: bytes, seq: int, body: bytes, personal_sealed: bytes | None) -> bytes:
    """Return an entry's link (32 bytes)."""
    return hashlib.sha256(
        prev + seq.to_bytes(8, "big") + hashlib.sha256(body).digest() + hashlib.sha256(personal_sealed or b"").digest()
    ).digest()


def personal_about(seq: int) -> bytes:
    """Return what an entry's personal part is bound to."""
    return b"audit" + seq.to_bytes(8, "big")


def entry_body(
    *,
    at: datetime.datetime,
    action: str,
    subject: str,
    via: str | None,
    key_id: UUID | None,
    person_id: UUID | None,
    facts: Json,
) -> bytes:
    """Return an entry's body: what it says, without the name of a person."""
    return canonical_bytes(
        {
            "v": CHAIN_VERSION,
            "at": shown_time(at),
            "action": action,
            "subject": subject,
            "via": via,
            "key": key_id and str(key_id),
            "person": person_id and str(person_id),
            "facts": facts,
        }
    )


def checkpoint_statement(tenant: TenantId, seq: int, link: bytes, at: datetime.datetime) -> bytes:
    """Return what a checkpoint signs."""
    return canonical_bytes(
        {
            "memoryd": "audit checkpoint",
            "v": 1,
            "tenant": str(tenant),
            "seq": seq,
            "hash": link.hex(),
            "at": shown_time(at),
        }
    )


def shown_time(at: datetime.datetime) -> str:
    """Return a time as bodies and statements spell it: UTC, to the microsecond."""
    return at.astimezone(datetime.UTC).isoformat(timespec="microseconds")


class ChainCheck:
    """Verification of one trail, fed entry by entry in the order in which they are stored."""

    def __init__(
        self, tenant: TenantId, checkpoints: Sequence[Checkpoint], *, trusted_key: bytes | None = None
    ) -> None:
        """`trusted_key` is the public key known from outside; without it, the first checkpoint's is taken and shown."""
        self._tenant = tenant
        self._prev = genesis(tenant)
        self._expected = 1
        self._entries = 0
        self._last_seq = 0
        self._findings: list[ChainFinding] = []
        self._defects = 0
        self._key = trusted_key or (checkpoints[0].public_key if checkpoints else None)
        self._checkpoints = len(checkpoints)
        self._promised: dict[int, bytes] = {}
        self._kept = 0
        for checkpoint in checkpoints:
            self._read_checkpoint(checkpoint)

    def feed(self, entries: Iterable[SealedEntry]) -> None:
        """Check the next entries."""
        for entry in entries:
            self._entries += 1
            linked = entry_hash(self._prev, entry.seq, entry.body, entry.personal_sealed) == entry.hash
            if entry.seq > self._expected:
                missing = (
                    f"{self._expected}" if entry.seq == self._expected + 1 else f"{self._expected} to {entry.seq - 1}"
                )
                self._find(Defect.REMOVED, self._expected, f"missing: entry {missing}")
            elif entry.seq < self._expected:
                self._find(Defect.REORDERED, entry.seq, f"entry {entry.seq} stands after entry {self._expected - 1}")
            elif not linked:
                self._find(
                    Defect.CHANGED,
                    entry.seq,
                    f"entry {entry.seq} is not what was sealed, or what it followed was exchanged",
                )
            self._check_labels(entry)
            promised = self._promised.get(entry.seq)
            if promised is not None and promised != entry.hash:
                self._find(Defect.REWRITTEN, entry.seq, f"entry {entry.seq} is not the one that a checkpoint signed")
            elif promised is not None:
                self._kept = max(self._kept, entry.seq)
            self._prev, self._expected = entry.hash, entry.seq + 1
            self._last_seq = max(self._last_seq, entry.seq)

    def note_unreadable(self, place: int) -> None:
        """Record that what should be an entry is none; `place` counts the source's entries from 1."""
        self._find(Defect.CHANGED, self._expected, f"the {place}. entry of the source cannot be read")

    def note_cut_off(self) -> None:
        """Record that the source ended before its own last line."""
        self._find(Defect.TRUNCATED, self._last_seq, "the export ends before its last line")

    def verdict(self, *, unsealed: int = 0) -> ChainVerdict:
        """Return what was found, once everything was fed."""
        for seq in sorted(self._promised):
            if seq > self._last_seq:
                self._find(
                    Defect.TRUNCATED,
                    self._last_seq,
                    f"a checkpoint signed entry {seq}; the trail ends at {self._last_seq}",
                )
        return ChainVerdict(
            entries=self._entries,
            last_seq=self._last_seq,
            checkpoints=self._checkpoints,
            signed_to=self._kept,
            unsealed=unsealed,
            public_key=self._key,
            findings=tuple(self._findings),
            defects=self._defects,
        )

    def _find(self, defect: Defect, seq: int, sentence: str) -> None:
        self._defects += 1
        if len(self._findings) < FINDINGS_LIMIT:
            self._findings.append(ChainFinding(defect=defect, seq=seq, sentence=sentence))

    def _check_labels(self, entry: SealedEntry) -> None:
        try:
            body = read_json(entry.body)
        except NotJson:
            body = None
        said = body if isinstance(body, dict) else {}
        shown = {
            "at": shown_time(entry.at),
            "action": entry.action,
            "subject": entry.subject,
            "person": entry.person_id and str(entry.person_id),
        }
        for label, value in shown.items():
            if said.get(label) != value:
                self._find(
                    Defect.MISLABELLED, entry.seq, f"entry {entry.seq}: its {label} is not the one that was sealed"
                )

    def _read_checkpoint(self, checkpoint: Checkpoint) -> None:
        statement = read_statement(checkpoint)
        if statement is None or checkpoint.public_key != self._key:
            self._find(Defect.CHECKPOINT, 0, "a checkpoint is not signed by this trail's key")
        elif statement.tenant != str(self._tenant):
            self._find(Defect.CHECKPOINT, statement.seq, f"the checkpoint at {statement.seq} is another trail's")
        else:
            before = self._promised.setdefault(statement.seq, statement.hash)
            if before != statement.hash:
                self._find(Defect.REWRITTEN, statement.seq, f"two checkpoints sign different entries {statement.seq}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointStatement:
    """What a checkpoint says."""

    tenant: str
    seq: int
    hash: bytes
    at: str


def read_statement(checkpoint: Checkpoint) -> CheckpointStatement | None:
    """Return what a checkpoint says, or None where its signature does not hold."""
    try:
        Ed25519PublicKey.from_public_bytes(checkpoint.public_key).verify(checkpoint.signature, checkpoint.statement)
        body = read_json(checkpoint.statement)
        assert isinstance(body, dict)
        seq, link = body["seq"], bytes.fromhex(str(body["hash"]))
        if not isinstance(seq, int) or body.get("memoryd") != "audit checkpoint":
            return None
        return CheckpointStatement(tenant=str(body["tenant"]), seq=seq, hash=link, at=str(body["at"]))
    except (InvalidSignature, ValueError, KeyError, AssertionError, NotJson):
        return None
