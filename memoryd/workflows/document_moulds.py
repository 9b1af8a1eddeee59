"""Documents of one kind that differ in a few places: what always stands there is packed once, and spelled once as a row.

A compressed document is a row of blocks that stand for themselves: those of what is always the same are kept, and what is
filled in goes between them as it is. Source: RFC 1950 (zlib), RFC 1951 (deflate, stored blocks).
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Sequence

from isal import isal_zlib

from memoryd.plugin_api.facts import DocumentKind
from memoryd.workflows.ready_rows import ReadyDocument

AS_IT_IS_LIMIT = 1_000
"""Bytes that are filled in and kept as they are: with more of them, packing the whole is worth its time."""

LAYOUTS_REMEMBERED = 4
"""Ways in which one graph was drawn, of which the document is remembered: about 20 KB each."""

_LEVEL = 9
"""Packed once for many files."""

_STORED = struct.Struct("<BHH")
_HEAD = b"\x78\xda"
_BIGGEST_BLOCK = 0xFFFF


def packed_pieces(pieces: Sequence[bytes]) -> tuple[str, ...]:
    """Return pieces as hexadecimal blocks, each for itself: the stream's head before the first, its last block the last.

    Between two of them any other block may stand.
    """
    blocks = []
    for number, piece in enumerate(pieces, 1):
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        last = zlib.Z_FINISH if number == len(pieces) else zlib.Z_FULL_FLUSH
        blocks.append((packer.compress(piece) + packer.flush(last)).hex())
    blocks[0] = _HEAD.hex() + blocks[0]
    return tuple(blocks)


def packed_between(blocks: Sequence[str], between: Sequence[bytes], whole: bytes) -> str | None:
    """Return the stream of `whole` as hexadecimal: the blocks of `packed_pieces` with texts between them.

    None where these are so long that the whole had better be packed.
    """
    if sum(map(len, between)) > AS_IT_IS_LIMIT:
        return None
    spelled = [""] * (2 * len(blocks))
    spelled[::2] = blocks
    spelled[1:-1:2] = [(_STORED.pack(0, len(text), _BIGGEST_BLOCK ^ len(text)) + text).hex() for text in between]
    spelled[-1] = f"{isal_zlib.adler32(whole):08x}"
    return "".join(spelled)


class DocumentMould:
    """Makes rows of documents that are alike."""

    __slots__ = ("_blocks", "_kind", "_order", "_pieces")

    def __init__(self, kind: DocumentKind, pieces: Sequence[bytes], order: Sequence[int]) -> None:
        """`pieces` stand before, between and after the places; `order` are the numbers of what is filled in there."""
        self._kind = kind.value
        self._pieces = tuple(pieces)
        self._order = tuple(order)
        self._blocks: tuple[str, ...] = ()

    def whole(self, tokens: Sequence[bytes]) -> bytes:
        """Return the document with this filled in."""
        written = [b""] * (2 * len(self._pieces) - 1)
        written[::2] = self._pieces
        written[1::2] = [tokens[number] for number in self._order]
        return b"".join(written)

    def row(self, raw: bytes, tokens: Sequence[bytes]) -> ReadyDocument | None:
        """Return the row of a document that is `whole(tokens)`, None where it is to be packed as others are."""
        if not self._blocks:
            self._blocks = packed_pieces(self._pieces)
        content = packed_between(self._blocks, [tokens[number] for number in self._order], raw)
        if content is None:
            return None
        sha256 = hashlib.sha256(raw)
        line = f"\\\\x{sha256.hexdigest()}\t{self._kind}\t\\\\x{content}\t{len(raw)}\n"
        return ReadyDocument(sha256.digest(), line.encode("ascii"))


class DocumentMoulds:
    """Makes rows of the documents that lie beside those of a template: the same texts and seeds stand in them."""

    __slots__ = ("_kind", "_known", "_last")

    def __init__(self, kind: DocumentKind) -> None:
        """Nothing is remembered yet."""
        self._kind = kind
        self._known: list[DocumentMould] = []
        self._last: tuple[bytes, ...] = ()

    def find(self, raw: bytes, tokens: Sequence[bytes]) -> DocumentMould | None:
        """Return the mould of a document in which these tokens stand, None where none like it came twice in a row."""
        for number, known in enumerate(self._known):
            if known.whole(tokens) == raw:
                if number:
                    self._known.insert(0, self._known.pop(number))
                return known
        numbers = {token: number for number, token in reversed([*enumerate(tokens)])}
        longest_first = sorted(numbers, key=len, reverse=True)
        found = re.split(b"(" + b"|".join(map(re.escape, longest_first)) + b")", raw)
        pieces = tuple(found[::2])
        if pieces != self._last:
            self._last = pieces
            return None
        made = DocumentMould(self._kind, pieces, [numbers[token] for token in found[1::2]])
        self._known = [made, *self._known[: LAYOUTS_REMEMBERED - 1]]
        return made
