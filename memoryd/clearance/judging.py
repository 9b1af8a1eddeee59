"""From models with their licences, and an occasion, to a verdict that cites every clause. Pure.

The rules, all of them:

- A model without a hash, without a grant of its own, or with a name that nobody knows terms for, is unknown. What it
  inherits (from its base, from what it was derived from) can forbid or ask for a review, and never allows.
- Of several grants of one model, and of several models, the strictest counts.
- Terms that are unclear, disputed, or read with low confidence are a person's to decide: review at best.
- A threshold (revenue, users) that is met forbids; one whose fact is not known asks for a review.
- A territory that is excluded, of the use or of who works there, forbids.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from memoryd.clearance.facts import (
    STRICTNESS,
    UNKNOWN_MAKING,
    CitedClause,
    Duty,
    Judgement,
    ModelInUse,
    Occasion,
    Use,
    Verdict,
    strictest,
)
from memoryd.clearance.territories import expand, spelled
from memoryd.model_registry.licensing.terms import (
    AboveCap,
    Answer,
    AttributionWhen,
    Confidence,
    Grant,
    GrantSource,
    Terms,
)

_CURRENCY = "USD"

_CREDITED = {
    AttributionWhen.OUTPUTS: "with what was made",
    AttributionWhen.DISTRIBUTION: "where the model, or a service with it, is passed on",
    AttributionWhen.ENCOURAGED: "asked for, not demanded",
}


@dataclasses.dataclass(frozen=True, slots=True)
class _Reason:
    term: str
    verdict: Verdict
    says: str


def judge(models: Iterable[ModelInUse], occasion: Occasion) -> Judgement:
    """Return the verdict on what these models made, for this occasion; allow where nothing took part."""
    clauses: list[CitedClause] = []
    duties: dict[Duty, None] = {}
    for model in models:
        clauses += _clauses(model, occasion)
        duties |= dict.fromkeys(_duties(model, occasion))
    clauses = sorted(
        dict.fromkeys(clauses),
        key=lambda one: (-STRICTNESS[one.verdict], one.model_name, one.licence or "", one.term, one.inherited),
    )
    return Judgement(
        verdict=strictest(clause.verdict for clause in clauses), clauses=tuple(clauses), duties=tuple(duties)
    )


def _clauses(model: ModelInUse, occasion: Occasion) -> Iterator[CitedClause]:
    if model.sha256 is None:
        says = "which file this was is not known, and a name grants nothing"
        if model.role == UNKNOWN_MAKING:
            says = model.name
        yield _without_terms(model, None, "no-hash", says)
    elif all(grant.inherited for grant in model.grants):
        yield _without_terms(model, None, "no-grant", "nobody named a licence for this file")
    if model.recalled is not None:
        yield dataclasses.replace(_without_terms(model, None, "recalled", model.recalled), verdict=Verdict.BLOCK)
    for grant in model.grants:
        if grant.terms is None:
            says = f"{grant.name!r} was stated, and its terms are not known"
            yield _without_terms(model, grant, "no-terms", says)
            continue
        for reason in (*_reasons(grant.terms, occasion), *_derived(grant, grant.terms)):
            yield _cited(model, grant, grant.terms, reason)


def _cited(model: ModelInUse, grant: Grant, terms: Terms, reason: _Reason) -> CitedClause:
    clause = terms.clauses.get(reason.term)
    says = f"{clause.says} ({reason.says})" if clause is not None and clause.says else reason.says
    return CitedClause(
        model=model.sha256,
        model_name=model.name,
        licence_id=grant.licence_id or terms.key,
        licence=terms.title,
        term=reason.term,
        section=clause.section if clause is not None else "",
        says=says,
        verdict=reason.verdict,
        text_sha256=terms.text_sha256 or grant.text_sha256,
        confidence=terms.confidence.value,
        source=grant.source.value,
        inherited=grant.inherited,
        version=terms.version,
        url=terms.url,
        elsewhere=model.elsewhere,
    )


def _without_terms(model: ModelInUse, grant: Grant | None, term: str, says: str) -> CitedClause:
    return CitedClause(
        model=model.sha256,
        model_name=model.name,
        licence_id=grant.licence_id if grant else None,
        licence=grant.name if grant else None,
        term=term,
        section="",
        says=says,
        verdict=Verdict.UNKNOWN,
        text_sha256=grant.text_sha256 if grant else None,
        confidence=None,
        source=grant.source.value if grant else None,
        inherited=grant.inherited if grant else False,
        elsewhere=model.elsewhere,
    )


def _reasons(terms: Terms, occasion: Occasion) -> Iterator[_Reason]:
    yield _outputs(terms, occasion)
    yield from _model_use(terms, occasion)
    yield from _revenue(terms, occasion)
    yield from _users(terms, occasion)
    yield from _registration(terms, occasion)
    yield from _territory(terms, occasion)
    if terms.training_ban and occasion.use is Use.TRAINING:
        yield _Reason("training_ban", Verdict.BLOCK, "outputs may not be used to train other models")
    if terms.disputed:
        yield _Reason("disputed", Verdict.REVIEW, terms.disputed)
    if terms.confidence is Confidence.LOW:
        yield _Reason("confidence", Verdict.REVIEW, "what is known of these terms is unsure: read the licence itself")


def _derived(grant: Grant, terms: Terms) -> Iterator[_Reason]:
    """A model under such terms may not be changed: what somebody says was made from it ought not to be there."""
    if terms.derivatives_allowed:
        return
    if grant.source is GrantSource.DERIVED:
        yield _Reason("derivatives_allowed", Verdict.BLOCK, "no changed version may be passed on, and this is one")
    elif grant.inherited:
        yield _Reason("derivatives_allowed", Verdict.REVIEW, "no changed version may be passed on, and this may be one")


def _outputs(terms: Terms, occasion: Occasion) -> _Reason:
    inside = occasion.use is Use.INTERNAL
    match terms.outputs_commercial:
        case Answer.YES:
            return _Reason("outputs_commercial", Verdict.ALLOW, "outputs may be used commercially")
        case Answer.NO:
            told = "outputs may not be used commercially"
            return _Reason("outputs_commercial", Verdict.REVIEW if inside else Verdict.BLOCK, told)
        case Answer.CONDITIONAL:
            verdict = Verdict.ALLOW if _says_its_conditions(terms) else Verdict.REVIEW
            return _Reason("outputs_commercial", verdict, "outputs may be used commercially under conditions")
        case Answer.UNCLEAR:
            return _Reason("outputs_commercial", Verdict.REVIEW, "what outputs may be used for is not clear")


def _model_use(terms: Terms, occasion: Occasion) -> Iterator[_Reason]:
    match terms.model_commercial:
        case Answer.YES:
            return
        case Answer.NO:
            # Where outputs are free and the use that makes them is not, people read it two ways.
            open_ = occasion.use is Use.INTERNAL or terms.outputs_commercial is Answer.YES
            says = "the model may not be used for commercial work"
            yield _Reason("model_commercial", Verdict.REVIEW if open_ else Verdict.BLOCK, says)
        case Answer.CONDITIONAL:
            verdict = Verdict.ALLOW if _says_its_conditions(terms) else Verdict.REVIEW
            yield _Reason("model_commercial", verdict, "the model may be used commercially under conditions")
        case Answer.UNCLEAR:
            yield _Reason("model_commercial", Verdict.REVIEW, "what the model may be used for is not clear")


def _says_its_conditions(terms: Terms) -> bool:
    """Whether the conditions of a conditional answer are terms that are judged by themselves."""
    return bool(terms.revenue_cap or terms.users_cap or terms.registration or terms.territory_excluded)


def _revenue(terms: Terms, occasion: Occasion) -> Iterator[_Reason]:
    cap = terms.revenue_cap
    if cap is None:
        return
    limit = f"{cap.currency} {cap.amount:,} a year"
    revenue = occasion.revenue_usd
    if cap.currency != _CURRENCY:
        yield _Reason("revenue_cap", Verdict.REVIEW, f"the threshold is {limit}, and revenue is kept in {_CURRENCY}")
    elif revenue is not None and revenue >= cap.amount:
        if cap.above is AboveCap.REGISTER:
            done = terms.id in occasion.registered
            told = "above it one registers: " + ("done" if done else "nobody said that it was done")
            yield _Reason("revenue_cap", Verdict.ALLOW if done else Verdict.REVIEW, f"from {limit}; {told}")
        else:
            yield _Reason("revenue_cap", Verdict.BLOCK, f"from {limit} a paid licence is needed; it is {revenue:,}")
    elif revenue is None or "revenue" in occasion.untold:
        yield _Reason("revenue_cap", Verdict.REVIEW, f"the threshold is {limit}, and the revenue is not known")
    else:
        yield _Reason("revenue_cap", Verdict.ALLOW, f"the threshold is {limit}; it is {revenue:,}")


def _users(terms: Terms, occasion: Occasion) -> Iterator[_Reason]:
    cap, users = terms.users_cap, occasion.users
    if cap is None:
        return
    if users is not None and users >= cap:
        yield _Reason("users_cap", Verdict.BLOCK, f"from {cap:,} users a month a licence is needed; it is {users:,}")
    elif users is None or "users" in occasion.untold:
        yield _Reason("users_cap", Verdict.REVIEW, f"the threshold is {cap:,} users a month, and they are not known")
    else:
        yield _Reason("users_cap", Verdict.ALLOW, f"the threshold is {cap:,} users a month; it is {users:,}")


def _registration(terms: Terms, occasion: Occasion) -> Iterator[_Reason]:
    if not terms.registration or occasion.use is Use.INTERNAL:
        return
    if terms.id in occasion.registered:
        yield _Reason("registration", Verdict.ALLOW, "commercial use asks to register, which was done")
    else:
        says = "commercial use asks to register, and nobody said that it was done"
        yield _Reason("registration", Verdict.REVIEW, says)


def _territory(terms: Terms, occasion: Occasion) -> Iterator[_Reason]:
    excluded = expand(terms.territory_excluded)
    if not excluded:
        return
    told = f"not licensed in {spelled(excluded)}"
    used, worked = excluded & expand(occasion.territories), excluded & expand(occasion.seats)
    if used:
        yield _Reason("territory_excluded", Verdict.BLOCK, f"{told}; used in {spelled(used)}")
        if terms.outputs_bound_to_territory:
            says = f"what was made may not be used there either; used in {spelled(used)}"
            yield _Reason("outputs_bound_to_territory", Verdict.BLOCK, says)
    if worked:
        yield _Reason("territory_excluded", Verdict.BLOCK, f"{told}; who works with it sits in {spelled(worked)}")
    elif not occasion.seats or "seat" in occasion.untold:
        says = f"{told}; where studio and client sit is not known"
        yield _Reason("territory_excluded", Verdict.REVIEW, says)
    elif not used:
        places = spelled(expand((*occasion.territories, *occasion.seats)))
        yield _Reason("territory_excluded", Verdict.ALLOW, f"{told}; made and used in {places}")


def _duties(model: ModelInUse, occasion: Occasion) -> Iterator[Duty]:
    for grant in model.grants:
        if grant.terms is not None:
            for kind, text in _owed(grant.terms, occasion):
                yield Duty(
                    kind=kind,
                    text=text,
                    model_name=model.name,
                    licence=grant.terms.title,
                    url=grant.terms.url,
                    elsewhere=model.elsewhere,
                )


def _owed(terms: Terms, occasion: Occasion) -> Sequence[tuple[str, str]]:
    owed: list[tuple[str, str]] = []
    if terms.attribution:
        owed.append(("attribution", f"{terms.attribution.text} ({_CREDITED[terms.attribution.when]})"))
    if terms.derivative_naming:
        owed.append(("naming", terms.derivative_naming))
    if not terms.derivatives_allowed:
        owed.append(("no-derivatives", _says(terms, "derivatives_allowed", "no changed version may be passed on")))
    if terms.share_alike:
        owed.append(("share-alike", _says(terms, "share_alike", "what is derived from the model keeps its licence")))
    if terms.disclosure_duty:
        owed.append(("disclosure", terms.disclosure_duty))
    if terms.use_restrictions:
        text = _says(terms, "use_restrictions", "uses that the licence forbids stay forbidden, and are passed on")
        owed.append(("use-restrictions", f"{text}: {terms.aup_url}" if terms.aup_url else text))
    if terms.training_ban and occasion.use is not Use.TRAINING:
        owed.append(("no-training", _says(terms, "training_ban", "outputs may not be used to train other models")))
    if terms.hosting_restricted:
        owed.append(("hosting", _says(terms, "hosting_restricted", "the model may not be offered as a service")))
    if terms.registration and occasion.use is not Use.INTERNAL and terms.id not in occasion.registered:
        owed.append(("registration", _says(terms, "registration", "register before commercial use")))
    return owed


def _says(terms: Terms, term: str, otherwise: str) -> str:
    clause = terms.clauses.get(term)
    return clause.says if clause is not None and clause.says else otherwise
