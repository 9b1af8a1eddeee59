"""Receipts checked by anybody: the signature, the shape, and, with the files at hand, whether the claim holds again.

No server, no database, no network: what is stated is held against the files alone.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import hashlib
from pathlib import Path
from typing import assert_never

from pydantic import ValidationError

from memoryd.disclosure.facts import SealState, SealVerdict
from memoryd.disclosure.pki import Anchors
from memoryd.disclosure.sealing import verify_seal
from memoryd.foundation.canonical_json import Json, canonical_bytes, read_json
from memoryd.foundation.errors import MemorydError, NotAcceptable
from memoryd.imaging.differences import PixelDifference, compare_pixels
from memoryd.imaging.pixels import pixel_digest
from memoryd.reproduction.facts import ComparedWith, Verdict
from memoryd.reproduction.receipt_wire import FORMAT, PixelsPart, Receipt
from memoryd.reproduction.verdict import Compared, grade

RECEIPT_BYTES_LIMIT = 4 * 1024 * 1024
"""Bytes of a receipt that is read; one with all its causes and measures is below 100 kB."""
FILE_BYTES_LIMIT = 512 * 1024 * 1024
"""Bytes of a file that is held against it."""


_NEEDS = {
    Verdict.IDENTICAL_FILE: {ComparedWith.BYTES, ComparedWith.STORED_HASH},
    Verdict.IDENTICAL_PIXELS: {ComparedWith.BYTES, ComparedWith.STORED_PIXEL_DIGEST},
    Verdict.WITHIN_TOLERANCE: {ComparedWith.BYTES},
}
"""What a verdict must rest on."""


class FileUnreadable(NotAcceptable):
    """A file that a receipt is to be held against cannot be read."""


class Holds(enum.StrEnum):
    """What one check found."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "cannot tell"
    """It would take what is not at hand."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    what: str
    holds: Holds
    detail: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptVerdict:
    """What a receipt is worth. `verdict` is what it claims, None where it cannot be read."""

    seal: SealVerdict
    checks: tuple[Check, ...]
    verdict: Verdict | None = None
    asset_sha256: str | None = None
    development: bool = False

    @property
    def good(self) -> bool:
        """Not one byte was changed, and nothing that could be checked speaks against it."""
        intact = self.seal.state in (SealState.INTACT, SealState.INTACT_UNKNOWN_SIGNER)
        return intact and all(check.holds is not Holds.NO for check in self.checks)


def check_receipt(
    receipt: bytes, anchors: Anchors, *, original: Path | None = None, made: Path | None = None
) -> ReceiptVerdict:
    """Return what a receipt is worth, held against the files where they are given. Raises: FileUnreadable."""
    if len(receipt) > RECEIPT_BYTES_LIMIT:
        return _unreadable("larger than any receipt (RECEIPT_BYTES_LIMIT)")
    try:
        parsed = read_json(receipt)
        if not isinstance(parsed, dict) or not isinstance(parsed.get("statement"), dict):
            return _unreadable(f"not a receipt of the form {FORMAT}")
        spelled = canonical_bytes(parsed) + b"\n" == receipt
        statement, signed = canonical_bytes(parsed["statement"]), canonical_bytes(parsed.get("seal")) + b"\n"
    except MemorydError as error:
        return _unreadable(f"it cannot be read: {error.detail}")
    verdict = verify_seal(statement, signed, anchors)
    checks = [
        _check(
            "spelling", spelled, "it is in its one spelling", "it was written again: its bytes are not the signed ones"
        )
    ]
    try:
        shape = Receipt.model_validate(parsed)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        checks.append(
            Check(
                what="schema",
                holds=Holds.NO,
                detail=f"not by reproduction_verdict.v1: {where}: {error.errors()[0]['msg']}",
            )
        )
        return ReceiptVerdict(seal=verdict, checks=tuple(checks))
    checks.append(Check(what="schema", holds=Holds.YES, detail="by reproduction_verdict.v1"))
    checks += [_signer_is_named(shape), *_consistent(shape)]
    checks += _against_files(shape, original, made)
    return ReceiptVerdict(
        seal=verdict,
        checks=tuple(checks),
        verdict=Verdict(shape.statement.verdict),
        asset_sha256=shape.statement.asset.sha256,
        development=shape.statement.signer.development,
    )


def _unreadable(detail: str) -> ReceiptVerdict:
    return ReceiptVerdict(seal=SealVerdict(state=SealState.UNREADABLE, detail=detail), checks=())


def _check(what: str, holds: bool, yes: str, no: str) -> Check:
    return Check(what=what, holds=Holds.YES if holds else Holds.NO, detail=yes if holds else no)


def _signer_is_named(receipt: Receipt) -> Check:
    """Return whether the statement names the certificate that signed it, and not a better one."""
    try:
        leaf = base64.b64decode(receipt.seal.chain[0], validate=True)
    except ValueError:
        leaf = b""
    named = hashlib.sha256(leaf).hexdigest() == receipt.statement.signer.certificate_sha256
    return _check("signer", named, "the statement names who signed it", "the statement names another signer")


def _consistent(receipt: Receipt) -> list[Check]:
    """Return whether the statement contradicts itself: a claim of identity needs equal hashes or digests."""
    said = receipt.statement
    verdict, made = Verdict(said.verdict), said.compared.made
    if verdict is Verdict.NOT_ATTEMPTED:
        return [_check("claim", not said.how.recomputed, "nothing was computed", "it says that it was computed")]
    if made is None:
        return [Check(what="claim", holds=Holds.NO, detail="it names no output")]
    equal = made.sha256 == said.asset.original_sha256
    if verdict is Verdict.IDENTICAL_FILE:
        checks = [_check("claim", equal, "both hashes are equal", "the hashes are not equal")]
    else:
        checks = [_check("claim", not equal, "the hashes are not equal, as it says", "the hashes are equal")]
    if verdict in _NEEDS:
        enough = said.compared.by in _NEEDS[verdict]
        checks.append(
            _check("evidence", enough, f"it rests on {said.compared.by}", f"{said.compared.by} cannot show that much")
        )
    ours, theirs = said.compared.original_pixels, said.compared.made_pixels
    if verdict is Verdict.IDENTICAL_PIXELS and ours is not None and theirs is not None and ours.recipe == theirs.recipe:
        checks.append(
            _check("pixel digests", ours.digest == theirs.digest, "both are equal", "the pixel digests are not equal")
        )
    checks.append(
        _check("computed", said.how.recomputed and not said.how.cached_nodes, said.how.how, "nodes came from a cache")
    )
    return checks


def _against_files(receipt: Receipt, original: Path | None, made: Path | None) -> list[Check]:
    said = receipt.statement
    checks: list[Check] = []
    ours = _read(original) if original is not None else None
    theirs = _read(made) if made is not None else None
    if ours is not None:
        checks.append(_is_file("original", ours, said.asset.original_sha256))
        checks += _is_pixels("original pixels", ours, said.compared.original_pixels)
    if theirs is not None:
        output = said.compared.made
        if output is None:
            checks.append(Check(what="made", holds=Holds.NO, detail="the receipt names no file that was made"))
        else:
            checks.append(_is_file("made", theirs, output.sha256))
            checks += _is_pixels("made pixels", theirs, said.compared.made_pixels)
    if ours is not None and theirs is not None:
        checks.append(_again(Verdict(said.verdict), ours, theirs))
    return checks


def _is_file(what: str, content: bytes, sha256: str) -> Check:
    found = hashlib.sha256(content).hexdigest()
    return _check(what, found == sha256, "it is the file", f"it is another file: {found[:12]}, not {sha256[:12]}")


def _is_pixels(what: str, content: bytes, said: PixelsPart | None) -> list[Check]:
    if said is None:
        return []
    try:
        found = pixel_digest(content)
    except (MemorydError, OSError) as error:
        return [Check(what=what, holds=Holds.UNKNOWN, detail=f"cannot be decoded here: {error}")]
    if found.recipe != said.recipe:
        detail = f"the digest was taken as {said.recipe}, which this decoder ({found.recipe}) does not give"
        return [Check(what=what, holds=Holds.UNKNOWN, detail=detail)]
    return [_check(what, found.digest.hex() == said.digest, "the digest is the same", "the digest is another one")]


def _again(claimed: Verdict, ours: bytes, theirs: bytes) -> Check:
    """Compare the two files again."""
    match claimed:
        case Verdict.NOT_ATTEMPTED:
            return Check(what="compared again", holds=Holds.UNKNOWN, detail="nothing was compared")
        case Verdict.IDENTICAL_FILE:
            return _check("compared again", ours == theirs, "every byte is equal", "the bytes differ")
        case Verdict.IDENTICAL_PIXELS | Verdict.WITHIN_TOLERANCE | Verdict.SIMILAR | Verdict.DIFFERENT:
            return _graded_again(claimed, ours, theirs)
        case _:
            assert_never(claimed)


def _graded_again(claimed: Verdict, ours: bytes, theirs: bytes) -> Check:
    if ours == theirs:
        return Check(what="compared again", holds=Holds.NO, detail="every byte is equal: the claim is too low")
    try:
        difference = compare_pixels(ours, theirs)
    except (MemorydError, OSError) as error:
        return Check(what="compared again", holds=Holds.UNKNOWN, detail=f"pixels cannot be compared here: {error}")
    found, _ = grade(Compared(difference=difference))
    # A fingerprint may say *similar* where decibels say *different*; it takes more than two files to tell.
    same = found is claimed or {found, claimed} == {Verdict.SIMILAR, Verdict.DIFFERENT}
    return _check(
        "compared again", same, f"{claimed.value}: {_words(difference)}", f"it is {found.value}: {_words(difference)}"
    )


def _words(difference: PixelDifference) -> str:
    told: dict[str, Json] = difference.as_json()
    return ", ".join(f"{name} {value}" for name, value in told.items() if name in ("max_abs", "psnr", "ssim", "reason"))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_LIMIT + 1)
    except OSError as error:
        raise FileUnreadable(
            f"{path}: {error.strerror}", hint="name the file that the client or the studio holds"
        ) from None
    if len(content) > FILE_BYTES_LIMIT:
        raise FileUnreadable(f"{path}: larger than {FILE_BYTES_LIMIT} bytes (FILE_BYTES_LIMIT)")
    return content
