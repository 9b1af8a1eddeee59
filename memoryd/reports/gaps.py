"""What is missing: everything about an asset that is unknown, unsigned, undecided or wrong. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from memoryd.catalog.asset_view import GenerationView
from memoryd.catalog.facts import GenerationOrigin
from memoryd.disclosure.facts import State
from memoryd.plugin_api.facts import Confidence
from memoryd.reports.clearing import clearance_gaps
from memoryd.reports.facts import Gap, Severity, Subject
from memoryd.workflows.facts import Source

_DOUBTS = frozenset(("carriers-disagree", "claim-not-believed", "lineage-would-cycle", "several-outputs"))
"""Findings that leave open what is true, not merely tell of it."""

_ORDER = {Severity.BAD: 0, Severity.UNKNOWN: 1, Severity.NOTE: 2}


def gaps_of(subject: Subject) -> tuple[Gap, ...]:
    """Return the gaps of one asset, the worst first."""
    found = [
        *_making(subject),
        *_declared(subject),
        *_frames(subject),
        *_disclosure(subject),
        *_verification(subject),
        *_reading(subject),
        *clearance_gaps(subject),
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda gap: _ORDER[gap.severity]))


def _gap(subject: Subject, code: str, detail: str, severity: Severity = Severity.UNKNOWN) -> Gap:
    return Gap(code=code, severity=severity, asset_id=subject.view.id, detail=detail)


def _making(subject: Subject) -> Iterator[Gap]:
    view = subject.view
    if not view.present:
        yield _gap(subject, "bytes-missing", "its bytes cannot be had now")
    if not view.generations:
        yield _gap(subject, "making-unknown", "no run is known that made it: how it came to be is unknown")
    if view.generations and all(run.origin is GenerationOrigin.DECLARED for run in view.generations):
        yield _gap(
            subject, "making-declared", "how it was made is a person's declaration alone: no file or job says so"
        )
    for run in view.generations:
        if run.project_id is None:
            yield _gap(subject, "project-unknown", "the run that made it belongs to no known project")
        if run.person_id is None:
            yield _gap(subject, "person-unknown", "who made it is unknown")
        if run.exact is not None and not run.certain:
            yield _gap(subject, "output-uncertain", "which output of the graph it is, the file does not say")
        if run.environment is None:
            told = f"packages and GPU made it is unknown; the program is said to be {run.tool}" if run.tool else ""
            detail = f"which {told or 'program, packages and GPU made it is unknown'}"
            yield _gap(subject, "environment-unknown", detail)
        yield from _certainty(subject, run)
        yield from _models(subject, run)
        for use in run.inputs:
            if use.sha256 is None:
                yield _gap(subject, "input-unknown", f"the content of the input {use.name!r} is unknown")
            elif use.parent is None:
                yield _gap(subject, "input-not-recorded", f"the input {use.name!r} is not in the memory")


def _certainty(subject: Subject, run: GenerationView) -> Iterator[Gap]:
    uses = [
        *((f"the pass of {use.class_type}", use.source, use.confidence) for use in run.samplers),
        *((f"the {use.polarity} prompt", use.source, use.confidence) for use in run.prompts),
        *((f"the model {use.name!r}", use.source, use.confidence) for use in run.models),
        *((f"the input {use.name!r}", use.source, use.confidence) for use in run.inputs),
    ]
    sources = {source for _, source, _ in uses}
    if Source.EDITOR in sources and Source.EXECUTED not in sources:
        detail = "the file holds the editor's graph alone: what was drawn, not proven to have run"
        yield _gap(subject, "not-proven-to-have-run", detail)
    for what, source, confidence in uses:
        if source is Source.INFERRED:
            yield _gap(subject, "fact-inferred", f"{what} is inferred: nothing in the file says so")
        elif confidence is Confidence.LOW:
            yield _gap(subject, "fact-uncertain", f"{what} is a guess (confidence low)")


def _declared(subject: Subject) -> Iterator[Gap]:
    read = [run for run in subject.view.generations if run.origin is not GenerationOrigin.DECLARED]
    for said in subject.declarations:
        if not said.generated and any(run.generates for run in read):
            detail = f"{said.by or 'somebody'} declares that no trained model made it; its file or job says otherwise"
            yield _gap(subject, "declaration-contradicted", detail, Severity.BAD)
    if len({said.generated for said in subject.declarations}) > 1:
        yield _gap(
            subject, "declarations-disagree", "people declare both that a trained model made it and that none did"
        )
    for near in subject.view.parents:
        if near.source != "read":
            how = "accepted a proposal" if near.source == "proposal" else "declared it"
            detail = (
                f"that it was made from {near.face.name or near.face.sha256.hex()} ({near.via}), no file or job says"
            )
            yield _gap(subject, "parent-declared", f"{detail}: {near.by or 'somebody'} {how}", Severity.NOTE)


def _frames(subject: Subject) -> Iterator[Gap]:
    frames = subject.view.sequence
    if frames is None:
        return
    if frames.missing:
        yield _gap(subject, "frames-missing", f"{frames.missing} numbers of {frames.name} have no frame")
    detail = f"{frames.frames} frames of {frames.name} are one line: one of them is told of and verified"
    yield _gap(subject, "frames-one-told", detail, Severity.NOTE)


def _models(subject: Subject, run: GenerationView) -> Iterator[Gap]:
    for model in run.models:
        if model.sha256 is None:
            yield _gap(subject, "model-unknown", f"which file the model {model.name!r} was is unknown")
            if model.claimed_hash:
                detail = (
                    f"the file claims the hash {model.claimed_hash} for the model {model.name!r}: nobody checked it"
                )
                yield _gap(subject, "model-claimed", detail, Severity.NOTE)
        elif model.identified == "name-now":
            detail = f"the model {model.name!r} is known by the name it has now: another file may have had it then"
            yield _gap(subject, "model-by-name", detail)
        if model.licence is None:
            yield _gap(subject, "licence-unknown", f"the licence of the model {model.name!r} is unknown")


def _disclosure(subject: Subject) -> Iterator[Gap]:
    made = subject.disclosures
    if not made:
        generated = any(run.generates for run in subject.view.generations)
        if generated:
            yield _gap(subject, "not-disclosed", "it was generated, and no signed copy exists")
        else:
            detail = "no signed copy exists, and whether one must say that it is AI-made is undecided"
            yield _gap(subject, "disclosure-undecided", detail)
        return
    if all(one.development for one in made):
        yield _gap(
            subject, "signer-development", "it is signed with a development certificate alone: no public identity"
        )
    if not any(one.timestamped for one in made):
        yield _gap(subject, "not-timestamped", "no signed copy bears a time-stamp of a third party", Severity.NOTE)
    if not any(len(one.layers) > 1 for one in made):
        yield _gap(subject, "one-layer", "one of two marking layers: signed metadata, no watermark", Severity.NOTE)


def _verification(subject: Subject) -> Iterator[Gap]:
    for asset, checked in subject.verifications.items():
        own = asset == subject.view.id
        what = "it" if own else f"its signed copy {asset}"
        if checked.verdict is None:
            yield _gap(subject, "not-verified", f"{what} was not verified: {checked.not_attempted}")
        elif checked.verdict.state in (State.INVALID, State.HISTORY_BROKEN, State.UNREADABLE):
            yield _gap(subject, "does-not-verify", f"{what}: {checked.verdict.headline}", Severity.BAD)
        elif checked.verdict.state is State.NONE and not own:
            yield _gap(subject, "does-not-verify", f"{what} bears no manifest any more", Severity.BAD)


def _reading(subject: Subject) -> Iterator[Gap]:
    for finding in subject.view.findings:
        severity = Severity.UNKNOWN if finding.code in _DOUBTS else Severity.NOTE
        yield _gap(subject, f"finding-{finding.code}", finding.detail, severity)
