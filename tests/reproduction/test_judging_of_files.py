"""Whatever speaks for whatever: one original is taken only where nothing else can be, and a likeness is never certain."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.foundation.ids import AssetId
from memoryd.recognition.candidates import NEAR
from memoryd.recognition.facts import By
from memoryd.recognition.resembling import COPY_DISTANCE
from memoryd.reproduction.from_file.facts import Standing
from memoryd.reproduction.from_file.judging import CANDIDATES_LIMIT, LOOKS_THE_SAME, Evidence, plausible, settle
from tests.thoroughness import tries


@st.composite
def evidence(draw: st.DrawFn, number: int) -> Evidence:
    by = draw(st.sampled_from(By))
    own, other = AssetId(UUID(int=number)), AssetId(UUID(int=number + 1_000))
    return Evidence(
        original=own,
        matched=draw(st.sampled_from([own, other])),
        by=by,
        distance=None if by is By.TEXT else draw(st.integers(0, 100)) if by is By.FINGERPRINT else 0,
        mirrored=draw(st.booleans()),
        alike=draw(st.none() | st.floats(0, 1)),
        text=by is By.TEXT or draw(st.booleans()),
        runs=draw(st.frozensets(st.sampled_from("ab"), max_size=1)),
    )


several = st.integers(0, 14).flatmap(lambda count: st.tuples(*(evidence(number) for number in range(count))))


@given(several, st.integers(0, 3))
@settings(max_examples=tries(100), deadline=None)
def test_one_is_taken_only_where_no_other_is_plausible(found: tuple[Evidence, ...], unseen: int) -> None:
    ranked = plausible(found)
    standing, doubts = settle(ranked, unseen_siblings=unseen)
    assert len(ranked) <= CANDIDATES_LIMIT
    assert (standing is Standing.UNKNOWN) == (not ranked)
    assert bool(doubts) == (standing is Standing.CHOOSE)
    if standing is Standing.EXACT:
        assert ranked[0].by is By.FILE
        assert ranked[0].matched == ranked[0].original
    if standing is not Standing.RECOGNISED:
        return
    first, others = ranked[0], ranked[1:]
    assert first.by is not By.TEXT
    told = first.text and not any(one.text for one in others)
    if first.by is By.PIXELS:
        assert told or not others
    if first.by is By.FINGERPRINT:
        assert first.distance is not None
        assert first.distance <= COPY_DISTANCE
        assert first.alike is not None
        assert first.alike >= LOOKS_THE_SAME
        assert unseen == 0
        for one in others:
            near = one.distance is not None and one.distance <= NEAR
            assert told or not (near or one.runs & first.runs), "a sibling, or another as near, was passed over"


@given(several)
@settings(max_examples=tries(60), deadline=None)
def test_the_order_is_that_of_the_evidence_and_depends_on_nothing_else(found: tuple[Evidence, ...]) -> None:
    ranked = plausible(found)
    assert plausible(tuple(reversed(found))) == ranked
    order = list(By)
    assert [order.index(one.by) for one in ranked] == sorted(order.index(one.by) for one in ranked)
