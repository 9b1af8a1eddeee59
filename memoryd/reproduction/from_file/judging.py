"""Which of the assets that a file resembles are plausible originals, in which order, and whether one is sure. Pure.

One is taken for the original only where nothing else can be: a sibling of a batch looks like its neighbour, and a client
who wants *exactly this one* must not be given the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from memoryd.foundation.ids import AssetId
from memoryd.recognition.candidates import NEAR, POSSIBLE
from memoryd.recognition.facts import By
from memoryd.recognition.resembling import COPY_DISTANCE
from memoryd.reproduction.from_file.facts import Standing

LOOKS_THE_SAME = 0.95
"""How alike (0 to 1) a copy looks at least. Source: measured (benchmarks/identify.py), JPEG of quality 20 stays above 0.98,
at a quarter of the size mostly above 0.95; a crop of 2 % is at 0.93."""

LOOKS_LIKE = 0.9
"""How alike what is further than POSSIBLE bits apart must look to be shown at all: grain moves a code, not the look."""

LOOKS_LIKE_NOTHING = 0.5
"""Below it, what is further than NEAR bits apart is another picture."""

CANDIDATES_LIMIT = 10
"""Originals of one answer: what people can look at side by side."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What speaks for one original. `matched` is the asset that was recognised; `runs` name the executed graphs that made it.

    `distance` is None where it was found by text alone; `alike` None where there was nothing to compare.
    """

    original: AssetId
    matched: AssetId
    by: By
    distance: int | None = None
    mirrored: bool = False
    alike: float | None = None
    text: bool = False
    runs: frozenset[str] = frozenset()

    @property
    def exact(self) -> bool:
        """Whether the file is the original, byte for byte, and not a copy that is known as well."""
        return self.by is By.FILE and self.matched == self.original

    @property
    def certain(self) -> bool:
        """Whether it rests on bytes, a trusted signature or every pixel, and not on a likeness."""
        return self.by in (By.FILE, By.SIGNED, By.PIXELS)


def plausible(evidence: Collection[Evidence]) -> list[Evidence]:
    """Return those that a person should look at, the likeliest first; one of equal bytes, or signed, leaves no other."""
    order = list(By)
    found = sorted(
        (one for one in evidence if _may_be(one)),
        key=lambda one: (order.index(one.by), _apart(one), not one.text, one.original),
    )
    for by in (By.FILE, By.SIGNED):
        if found and found[0].by is by:
            return found[:1]
    same = [one for one in found if one.by is By.PIXELS]
    return (same or found)[:CANDIDATES_LIMIT]


def settle(found: Sequence[Evidence], *, unseen_siblings: int) -> tuple[Standing, tuple[str, ...]]:
    """Return how sure the first of the plausible ones is, and in words why it is not.

    `unseen_siblings`: pictures that the first one's run made and that nobody compared the file with.
    """
    if not found:
        return Standing.UNKNOWN, ()
    first, others = found[0], found[1:]
    if first.exact:
        return Standing.EXACT, ()
    if first.by in (By.FILE, By.SIGNED):
        return Standing.RECOGNISED, ()
    # A text that names one of several alike tells them apart; what it names alone is no proof.
    told = first.text and not any(one.text for one in others)
    if first.by is By.PIXELS:
        doubts = [f"exactly these pixels have others too: {len(others)}"] if others and not told else []
    elif first.by is By.TEXT:
        doubts = ["only a text in the file names it: what the file shows is not what this shows"]
    else:
        doubts = [*_doubts_of_likeness(first), *_doubts_of_others(first, others, unseen_siblings, told=told)]
    return (Standing.CHOOSE, tuple(doubts)) if doubts else (Standing.RECOGNISED, ())


def _may_be(one: Evidence) -> bool:
    if one.certain or one.text:
        return True
    if one.distance is None or one.distance <= NEAR:
        return one.distance is not None
    if one.alike is None:
        return one.distance <= POSSIBLE
    return one.alike >= (LOOKS_LIKE_NOTHING if one.distance <= POSSIBLE else LOOKS_LIKE)


def _apart(one: Evidence) -> float:
    """How far from the file, 0 is nearest: what the codes and the looks say together."""
    bits = 1.0 if one.distance is None else one.distance / 256
    return bits + (0.5 if one.alike is None else 1.0 - one.alike)


def _doubts_of_likeness(first: Evidence) -> list[str]:
    doubts = []
    if first.distance is None or first.distance > COPY_DISTANCE:
        doubts.append(f"{first.distance} of 256 bits differ, more than encoding and scaling move ({COPY_DISTANCE})")
    if first.alike is None:
        doubts.append("there is no small picture of it to compare")
    elif first.alike < LOOKS_THE_SAME:
        doubts.append(f"it looks {first.alike:.1%} alike, and copies look {LOOKS_THE_SAME:.0%} alike at least")
    return doubts


def _doubts_of_others(first: Evidence, others: Sequence[Evidence], unseen: int, *, told: bool) -> list[str]:
    doubts = []
    siblings = [one for one in others if one.runs & first.runs]
    rivals = [one for one in others if one not in siblings and one.distance is not None and one.distance <= NEAR]
    if siblings and not told:
        doubts.append(f"others of the same run resemble it too: {len(siblings)}")
    if rivals and not told:
        doubts.append(f"other pictures resemble it as well: {len(rivals)}")
    if unseen:
        doubts.append(f"its run made others that could not be compared ({unseen}): it may be one of those")
    return doubts
