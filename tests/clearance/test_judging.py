"""Every clause of every licence that ships decides as a person says it does; the strictest wins; unknown never allows."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.clearance.facts import STRICTNESS, Judgement, ModelInUse, Occasion, Use, Verdict
from memoryd.clearance.judging import judge
from memoryd.model_registry.licensing.documents import read_terms
from memoryd.model_registry.licensing.shipped_table import documents
from memoryd.model_registry.licensing.terms import (
    AboveCap,
    Answer,
    Attribution,
    AttributionWhen,
    Confidence,
    Grant,
    GrantSource,
    RevenueCap,
    Terms,
)
from tests.thoroughness import tries

SHA = b"\x01" * 32

SMALL = Occasion(
    use=Use.CLIENT_DELIVERY, territories=("US",), revenue_usd=500_000, users=0, client="Zweig", seats=("US",)
)
"""A small studio in the United States, for a client there, that registered nowhere."""


def occasions(licence: str) -> dict[str, Occasion]:
    """The eight occasions of the table."""
    registered = dataclasses.replace(SMALL, registered=(licence,))
    return {
        "small": SMALL,
        "registered": registered,
        "internal": dataclasses.replace(SMALL, use=Use.INTERNAL),
        "training": dataclasses.replace(SMALL, use=Use.TRAINING),
        "europe": dataclasses.replace(SMALL, territories=("DE",), seats=("DE",)),
        "world": dataclasses.replace(SMALL, territories=("world",)),
        "big": dataclasses.replace(registered, revenue_usd=20_000_000, users=900_000_000),
        "untold": dataclasses.replace(registered, revenue_usd=None, users=None),
    }


# Written by hand from the licences: allow, review, unknown, block, in the order of the occasions above.
FREE = "a a a a a a a a"
REVIEW = "r r r r r r r r"
NON_COMMERCIAL = "b b r b b b b b"
TENCENT = "a a a b b b b r"
FLUX = "r r r b r r r r"
EXPECTED = {
    "apache-2.0": FREE,
    "bigscience-openrail-m": FREE,
    "bsd-3-clause": FREE,
    "cc-by-4.0": FREE,
    "cc-by-nc-4.0": NON_COMMERCIAL,
    "cc-by-nc-nd-4.0": NON_COMMERCIAL,
    "cc-by-nc-sa-4.0": NON_COMMERCIAL,
    "cc-by-sa-4.0": FREE,
    "cc0-1.0": FREE,
    "cogvideox": "r r r r r r b r",
    "creativeml-openrail-m": FREE,
    "creativeml-openrail-plus-plus-m": FREE,
    "fair-ai-public-1.0-sd": FREE,
    "flux-1-dev-non-commercial": FLUX,
    "flux-2-non-commercial": FLUX,
    "gemma-terms": REVIEW,
    "kolors": "r r r b r r b r",
    "llama-3.1-community": "a a a a a a b r",
    "ltx-2-community": "a a a b a a b r",
    "ltxv-open-weights": "a a a a a a b r",
    "mit": FREE,
    "noobai-xl": NON_COMMERCIAL,
    "nvidia-open-model": REVIEW,
    "nvidia-sana": REVIEW,
    "openmdw-1.0": FREE,
    "openrail": REVIEW,
    "playground-v2.5-community": "r r r b r r b r",
    "pony-v6": REVIEW,
    "pony-v7": REVIEW,
    "stability-ai-community": "r a a b r r b r",
    "stability-ai-nc-research": NON_COMMERCIAL,
    "tencent-hunyuan-3d-2.0-community": TENCENT,
    "tencent-hunyuan-image-2.1-community": TENCENT,
    "tencent-hunyuan-video-community": TENCENT,
}
WORDS = {"a": Verdict.ALLOW, "r": Verdict.REVIEW, "u": Verdict.UNKNOWN, "b": Verdict.BLOCK}

# What is owed by the small studio, by hand.
OWED = {
    "apache-2.0": "attribution",
    "bigscience-openrail-m": "use-restrictions",
    "bsd-3-clause": "attribution",
    "cc-by-4.0": "attribution",
    "cc-by-nc-4.0": "attribution",
    "cc-by-nc-nd-4.0": "attribution no-derivatives",
    "cc-by-nc-sa-4.0": "attribution share-alike",
    "cc-by-sa-4.0": "attribution share-alike",
    "cc0-1.0": "",
    "cogvideox": "use-restrictions registration",
    "creativeml-openrail-m": "use-restrictions",
    "creativeml-openrail-plus-plus-m": "use-restrictions",
    "fair-ai-public-1.0-sd": "share-alike use-restrictions hosting",
    "flux-1-dev-non-commercial": "attribution disclosure use-restrictions no-training hosting",
    "flux-2-non-commercial": "attribution disclosure use-restrictions no-training hosting",
    "gemma-terms": "use-restrictions",
    "kolors": "use-restrictions no-training registration",
    "llama-3.1-community": "attribution naming use-restrictions",
    "ltx-2-community": "share-alike disclosure use-restrictions no-training",
    "ltxv-open-weights": "use-restrictions",
    "mit": "attribution",
    "noobai-xl": "share-alike use-restrictions hosting",
    "nvidia-open-model": "attribution use-restrictions",
    "nvidia-sana": "",
    "openmdw-1.0": "attribution",
    "openrail": "use-restrictions",
    "playground-v2.5-community": "use-restrictions no-training",
    "pony-v6": "share-alike use-restrictions hosting",
    "pony-v7": "",
    "stability-ai-community": "attribution use-restrictions no-training registration",
    "stability-ai-nc-research": "use-restrictions hosting",
    "tencent-hunyuan-3d-2.0-community": "attribution disclosure use-restrictions no-training",
    "tencent-hunyuan-image-2.1-community": "attribution disclosure use-restrictions no-training",
    "tencent-hunyuan-video-community": "attribution disclosure use-restrictions no-training",
}

DUTY_OF = {
    "attribution": "attribution",
    "derivative_naming": "naming",
    "derivatives_allowed": "no-derivatives",
    "share_alike": "share-alike",
    "disclosure_duty": "disclosure",
    "use_restrictions": "use-restrictions",
    "training_ban": "no-training",
    "hosting_restricted": "hosting",
    "registration": "registration",
}


def own(terms: Terms | None, *, inherited: bool = False) -> Grant:
    """A grant of the file's own header, or one that it inherits."""
    source = GrantSource.KNOWN_BASE if inherited else GrantSource.HEADER
    return Grant(model=SHA, terms=terms, name=terms.title if terms else "who knows", source=source, inherited=inherited)


def model(*grants: Grant, sha256: bytes | None = SHA) -> ModelInUse:
    """A checkpoint."""
    return ModelInUse(sha256=sha256, role="checkpoints", name="a.safetensors", grants=grants)


def shipped(licence: str) -> Terms:
    """A row of the table."""
    return read_terms(documents()[licence])


def judged(licence: str, occasion: Occasion) -> Judgement:
    """What a model under this licence comes to."""
    return judge([model(own(shipped(licence)))], occasion)


def test_every_row_of_the_table_has_its_verdicts_here() -> None:
    assert set(documents()) == set(EXPECTED) == set(OWED)


@pytest.mark.parametrize("licence", sorted(EXPECTED))
def test_a_licence_decides_each_occasion_as_it_reads(licence: str) -> None:
    expected = [WORDS[letter] for letter in EXPECTED[licence].split()]
    found = {name: judged(licence, occasion).verdict for name, occasion in occasions(licence).items()}
    assert found == dict(zip(occasions(licence), expected, strict=True))


@pytest.mark.parametrize("licence", sorted(OWED))
def test_what_is_owed_though_it_is_allowed_is_listed(licence: str) -> None:
    assert {duty.kind for duty in judged(licence, SMALL).duties} == set(OWED[licence].split())


@pytest.mark.parametrize(
    ("licence", "term"), [(row, term) for row in sorted(documents()) for term in documents()[row].get("clauses", {})]
)
def test_every_clause_of_every_row_is_cited_somewhere(licence: str, term: str) -> None:
    clause = shipped(licence).clauses[term]
    told = [judged(licence, occasion) for occasion in occasions(licence).values()]
    cited = {(each.term, each.section) for judgement in told for each in judgement.clauses}
    duties = {duty.kind for judgement in told for duty in judgement.duties}
    silent = term == "model_commercial" and shipped(licence).model_commercial is Answer.YES
    assert (term, clause.section) in cited or DUTY_OF.get(term) in duties or silent


def test_a_european_studio_with_hunyuan_is_stopped_wherever_it_delivers() -> None:
    for seat in ("EU", "FR", "GB", "UK", "KR", "RE"):
        stopped = judged("tencent-hunyuan-video-community", dataclasses.replace(SMALL, seats=(seat,)))
        assert stopped.verdict is Verdict.BLOCK, seat
        assert "territory_excluded" in {clause.term for clause in stopped.deciding}
    for place in ("EU", "PL", "GB", "KR", "world"):
        stopped = judged("tencent-hunyuan-video-community", dataclasses.replace(SMALL, territories=("US", place)))
        assert {"territory_excluded", "outputs_bound_to_territory"} <= {clause.term for clause in stopped.deciding}
    for place in ("CH", "NO", "JP"):
        fine = dataclasses.replace(SMALL, territories=(place,), seats=(place,))
        assert judged("tencent-hunyuan-video-community", fine).verdict is Verdict.ALLOW


def test_where_nobody_said_who_sits_where_an_exclusion_is_a_persons_to_decide() -> None:
    unsaid = dataclasses.replace(SMALL, seats=())
    assert judged("tencent-hunyuan-video-community", unsaid).verdict is Verdict.REVIEW
    half_said = dataclasses.replace(SMALL, untold=frozenset({"seat"}))
    assert judged("tencent-hunyuan-video-community", half_said).verdict is Verdict.REVIEW


@pytest.mark.parametrize(
    ("revenue", "verdict"), [(999_999, Verdict.ALLOW), (1_000_000, Verdict.BLOCK), (None, Verdict.REVIEW)]
)
def test_a_revenue_cap_is_met_at_its_amount(revenue: int | None, verdict: Verdict) -> None:
    asked = dataclasses.replace(SMALL, revenue_usd=revenue, registered=("stability-ai-community",))
    assert judged("stability-ai-community", asked).verdict is verdict


def test_a_fact_that_one_party_did_not_tell_asks_for_a_review_and_what_the_other_told_may_still_forbid() -> None:
    untold = dataclasses.replace(SMALL, untold=frozenset({"revenue"}))
    assert judged("ltxv-open-weights", untold).verdict is Verdict.REVIEW
    assert judged("ltxv-open-weights", dataclasses.replace(untold, revenue_usd=10**8)).verdict is Verdict.BLOCK


def test_a_cap_above_which_one_registers_is_met_by_registering() -> None:
    cap = RevenueCap(amount=1_000, currency="USD", above=AboveCap.REGISTER)
    terms = dataclasses.replace(shipped("mit"), revenue_cap=cap)
    assert judge([model(own(terms))], SMALL).verdict is Verdict.REVIEW
    done = dataclasses.replace(SMALL, registered=("mit",))
    assert judge([model(own(terms))], done).verdict is Verdict.ALLOW
    foreign = dataclasses.replace(terms, revenue_cap=dataclasses.replace(cap, currency="EUR"))
    assert judge([model(own(foreign))], done).verdict is Verdict.REVIEW


def test_flux_2_klein_9b_owes_a_disclosure_and_the_text_of_it_is_told() -> None:
    found = [duty for duty in judged("flux-2-non-commercial", SMALL).duties if duty.kind == "disclosure"]
    assert found
    assert found[0].text


def test_a_clause_is_cited_with_its_section_and_the_hash_of_the_text_that_was_read() -> None:
    (clause,) = [c for c in judged("tencent-hunyuan-video-community", SMALL).clauses if c.term == "users_cap"]
    assert clause.section
    assert clause.text_sha256 == shipped("tencent-hunyuan-video-community").text_sha256 is not None
    assert clause.licence_id == shipped("tencent-hunyuan-video-community").key


def test_a_model_without_a_hash_a_grant_or_known_terms_is_unknown() -> None:
    free = own(shipped("mit"))
    for unknown, term in (
        (model(), "no-grant"),
        (model(free, sha256=None), "no-hash"),
        (model(own(None)), "no-terms"),
        (model(own(shipped("mit"), inherited=True)), "no-grant"),
    ):
        found = judge([unknown], SMALL)
        assert found.verdict is Verdict.UNKNOWN
        assert [clause.term for clause in found.deciding] == [term]


def test_what_is_inherited_forbids_though_the_file_states_something_free() -> None:
    base = own(shipped("stability-ai-nc-research"), inherited=True)
    found = judge([model(own(shipped("mit")), base)], SMALL)
    assert found.verdict is Verdict.BLOCK
    assert all(clause.inherited for clause in found.deciding)


def test_what_was_made_from_a_model_that_may_not_be_changed_is_stopped() -> None:
    locked = dataclasses.replace(shipped("mit"), derivatives_allowed=False)
    derived = dataclasses.replace(own(locked, inherited=True), source=GrantSource.DERIVED)
    assert judge([model(own(shipped("mit")), derived)], SMALL).verdict is Verdict.BLOCK
    based = own(locked, inherited=True)
    assert judge([model(own(shipped("mit")), based)], SMALL).verdict is Verdict.REVIEW
    assert judge([model(own(locked))], SMALL).verdict is Verdict.ALLOW


def test_nothing_took_part_and_nothing_forbids() -> None:
    assert judge([], SMALL) == Judgement(verdict=Verdict.ALLOW)


ANSWERS = st.sampled_from(Answer)
PLACES = st.sampled_from(("US", "DE", "EU", "GB", "KR", "JP", "world"))
TERMS = st.builds(
    Terms,
    id=st.sampled_from(("one", "two", "three")),
    version=st.just("1"),
    title=st.sampled_from(("One", "Two")),
    spdx=st.just("LicenseRef-memoryd-x"),
    url=st.none(),
    text_sha256=st.none(),
    outputs_commercial=ANSWERS,
    model_commercial=ANSWERS,
    revenue_cap=st.none()
    | st.builds(RevenueCap, amount=st.integers(1, 10**7), currency=st.just("USD"), above=st.sampled_from(AboveCap)),
    users_cap=st.none() | st.integers(1, 10**7),
    registration=st.booleans(),
    territory_excluded=st.lists(st.sampled_from(("EU", "GB", "KR", "US")), max_size=2).map(tuple),
    outputs_bound_to_territory=st.booleans(),
    attribution=st.none() | st.just(Attribution(text="by", when=AttributionWhen.OUTPUTS)),
    training_ban=st.booleans(),
    disputed=st.none() | st.just("two readings"),
    confidence=st.sampled_from(Confidence),
)
GRANTS = st.builds(lambda terms, inherited: own(terms, inherited=inherited), st.none() | TERMS, st.booleans())
MODELS = st.builds(
    lambda grants, known: model(*grants, sha256=SHA if known else None),
    st.lists(GRANTS, max_size=3),
    st.booleans() | st.just(True),
)
OCCASIONS = st.builds(
    Occasion,
    use=st.sampled_from(Use),
    territories=st.lists(PLACES, min_size=1, max_size=3).map(tuple),
    revenue_usd=st.none() | st.integers(0, 2 * 10**7),
    users=st.none() | st.integers(0, 2 * 10**7),
    seats=st.lists(PLACES, max_size=2).map(tuple),
    registered=st.lists(st.sampled_from(("one", "two")), max_size=2).map(tuple),
)


def strictness(models: list[ModelInUse], occasion: Occasion) -> int:
    """How strict the verdict is."""
    return STRICTNESS[judge(models, occasion).verdict]


@settings(max_examples=tries(40), deadline=None)
@given(st.lists(MODELS, max_size=4), OCCASIONS)
def test_the_strictest_model_wins(models: list[ModelInUse], occasion: Occasion) -> None:
    assert strictness(models, occasion) == max((strictness([one], occasion) for one in models), default=0)


@settings(max_examples=tries(40), deadline=None)
@given(st.lists(MODELS, max_size=3), MODELS, OCCASIONS)
def test_another_model_never_makes_it_milder(models: list[ModelInUse], more: ModelInUse, occasion: Occasion) -> None:
    assert strictness([*models, more], occasion) >= strictness(models, occasion)


@settings(max_examples=tries(40), deadline=None)
@given(MODELS, GRANTS, OCCASIONS)
def test_another_grant_never_makes_it_milder_but_the_first_of_its_own(
    one: ModelInUse, grant: Grant, occasion: Occasion
) -> None:
    first_of_its_own = not grant.inherited and all(each.inherited for each in one.grants)
    more = dataclasses.replace(one, grants=(*one.grants, grant))
    if not first_of_its_own:
        assert strictness([more], occasion) >= strictness([one], occasion)


@settings(max_examples=tries(40), deadline=None)
@given(st.lists(MODELS, min_size=1, max_size=3), PLACES, OCCASIONS)
def test_another_territory_never_makes_it_milder(models: list[ModelInUse], place: str, occasion: Occasion) -> None:
    wider = dataclasses.replace(occasion, territories=(*occasion.territories, place))
    assert strictness(models, wider) >= strictness(models, occasion)


@settings(max_examples=tries(40), deadline=None)
@given(st.lists(GRANTS, max_size=3), OCCASIONS)
def test_an_unknown_hash_never_yields_allow(grants: list[Grant], occasion: Occasion) -> None:
    assert judge([model(*grants, sha256=None)], occasion).verdict in (Verdict.UNKNOWN, Verdict.BLOCK)
    inherited = [dataclasses.replace(grant, inherited=True) for grant in grants]
    assert judge([model(*inherited)], occasion).verdict in (Verdict.UNKNOWN, Verdict.BLOCK)


@settings(max_examples=tries(40), deadline=None)
@given(st.lists(MODELS, max_size=3), OCCASIONS)
def test_what_decided_is_cited_and_allow_means_that_nothing_cited_is_stricter(
    models: list[ModelInUse], occasion: Occasion
) -> None:
    found = judge(models, occasion)
    assert not models or found.deciding
    assert [STRICTNESS[clause.verdict] for clause in found.clauses] == sorted(
        (STRICTNESS[clause.verdict] for clause in found.clauses), reverse=True
    )
