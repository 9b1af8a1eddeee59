"""Why something else came out: the differences between then and now that can explain it, the likeliest first. Pure.

They are named, not blamed, until a second run shows which of them holds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from memoryd.foundation.canonical_json import Json
from memoryd.reproduction.environments.nearness import Bearing, Nearness, nearness
from memoryd.reproduction.facts import Cause, Tested, TestedBy, Verdict

SHOWN_LIMIT = 6
"""Differences of environments that are causes of their own; of the others the number is told."""
WORD_LIMIT = 120
"""Characters of one value."""

NOT_DETERMINISTIC = "not-deterministic"
UNRECORDED = "unrecorded-difference"
_WEIGHT_NOT_DETERMINISTIC = 20_000_000
_WEIGHT_SEEN = 15_000_000
"""What the comparison itself shows: no other cause is needed."""
_WEIGHT_MODEL = 10_000_000
"""Other weights under the same name: always first of what differs between then and now."""
_WEIGHT_SERVICE = 5_000_000
_WEIGHT_BATCH = 2_000_000
_WEIGHT_OTHER_DEVICE = 1_000_000
"""Noise that the device makes, and another device: another picture altogether."""
_WEIGHT_CHANCE = 150_000
_WEIGHT_DEVICE_UNKNOWN = 90_000
_WEIGHT_LIKELY, _WEIGHT_POSSIBLE = 70_000, 30_000
"""What is unknown, between a torch of another version and another card: weights make other pictures, environments
make rounding. Below both where it explains the other of the two."""
_WEIGHT_OF_ROUNDING = 1_500
"""Unknown weights where no more than rounding differs: below a number of threads that was not recorded then."""
_WEIGHT_TEXTS = 1_000
_WEIGHT_SAME = 5
_HOLDS = 5_000_000
"""Added where a second run shows that it is this one."""

_SEEN = frozenset({"shown-otherwise", "hidden-colours", "size-differs", "header-not-compared"})
_BETWEEN = frozenset(
    {"environment-differs", "environment-unknown", "weights-unknown", "model-changed", "batch-differs"}
)
"""Causes that lie between then and now, and not in chance."""
_CHANCE = frozenset({"known-nondeterministic", "api-node"})
_PIXELS_EQUAL = frozenset({Verdict.IDENTICAL_FILE, Verdict.IDENTICAL_PIXELS})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelThenAndNow:
    """One model of a graph, and what its name stood for: SHA-256s (32 bytes), None where nobody knows.

    `changed_since`: the memory saw another content get this name after the picture was made.
    """

    folder: str
    name: str
    then: bytes | None
    now: bytes | None
    changed_since: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is known of the two runs. Environments are None where nobody recorded them.

    `notices` are the plan's own: what was known beforehand not to repeat itself. `parts`: what of two PNG files of
    equal pixels is not equal.
    """

    then: Mapping[str, Json] | None
    now: Mapping[str, Json] | None
    models: Sequence[ModelThenAndNow] = ()
    notices: Sequence[Cause] = ()
    batch_then: int | None = None
    batch_now: int | None = None
    parts: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecondRun:
    """What a second run made. `as_first`: the same pixels as the attempt it explains, None where nothing was made.

    `same_as_then` names what of the environment was there as it was then, and is not where the attempt ran.
    """

    by: TestedBy
    verdict: Verdict | None
    as_first: bool | None
    worker: str = ""
    same_as_then: frozenset[str] = frozenset()


def explain(verdict: Verdict, seen: Sequence[Cause], about: Circumstances) -> tuple[Cause, ...]:
    """Return the causes of a verdict, the likeliest first. `seen` is what the comparison itself showed."""
    if verdict in (Verdict.IDENTICAL_FILE, Verdict.NOT_ATTEMPTED):
        return tuple(seen)
    causes = [dataclasses.replace(each, weight=_WEIGHT_SEEN) if each.code in _SEEN else each for each in seen]
    if verdict is Verdict.IDENTICAL_PIXELS:
        return _ranked([*causes, *_of_the_file(about)])
    near = nearness(about.then, about.now)
    causes += _of_models(about.models, likely=verdict is not Verdict.WITHIN_TOLERANCE)
    causes += _of_batch(about)
    causes += _of_notices(about.notices, near)
    causes += _of_environments(about, near, likely=verdict is Verdict.WITHIN_TOLERANCE)
    return _ranked(causes)


def copy_cause(original: bytes) -> Cause:
    """Return what to say where the asset is a copy without a run of its own. `original` is a SHA-256 (32 bytes)."""
    detail = (
        f"this is a copy: what it was made from was made again and compared ({original.hex()[:12]}), not its own bytes"
    )
    return Cause(code="copy-of-original", detail=detail)


def retold(causes: Sequence[Cause], runs: Sequence[SecondRun]) -> tuple[Cause, ...]:
    """Return the causes ranked again by what second runs showed, each with what was tested of it."""
    repeat = next((run for run in runs if run.by is TestedBy.REPEAT and run.as_first is not None), None)
    other = next((run for run in runs if run.by is TestedBy.OTHER_WORKER and run.as_first is not None), None)
    if repeat is not None and not repeat.as_first:
        return _ranked([_not_deterministic(causes), *(_undecided(each) for each in causes)])
    if repeat is not None:
        causes = [_after_equal_runs(each) for each in causes]
    if other is not None:
        causes = [_beside(each, other) for each in causes]
    return _ranked(causes)


def _ranked(causes: Sequence[Cause]) -> tuple[Cause, ...]:
    return tuple(sorted(causes, key=lambda cause: -cause.weight))


def _of_the_file(about: Circumstances) -> Iterator[Cause]:
    near = nearness(about.then, about.now)
    texts = [part for part in about.parts if part != "packing"]
    if texts:
        yield Cause(
            code="texts-differ",
            detail=f"every pixel is equal; not equal in the file: {', '.join(texts)[:WORD_LIMIT]}",
            weight=_WEIGHT_TEXTS,
        )
    elif about.parts:
        yield Cause(
            code="file-differs",
            detail="every pixel is equal; they are packed otherwise, as another Pillow or zlib does",
            weight=1,
        )
    else:
        detail = "every pixel is equal; texts or compression around them are not"
        yield Cause(code="file-differs", detail=detail, weight=1)
    yield from _told(near, Bearing.FILE)
    if not near.known or about.now is None:
        yield _unknown(about, weight=_WEIGHT_SAME)


def _of_models(models: Sequence[ModelThenAndNow], *, likely: bool) -> Iterator[Cause]:
    unknown = []
    for model in models:
        what = f"{model.folder}/{model.name}"
        if model.then is not None and model.now is not None and model.then != model.now:
            yield Cause(
                code="model-changed",
                detail=f"{what} is another file: {model.now.hex()[:12]} now, {model.then.hex()[:12]} then",
                next_step=f"bring the file with SHA-256 {model.then.hex()} back to a worker, under any name",
                weight=_WEIGHT_MODEL,
                name=what,
                then=model.then.hex(),
                now=model.now.hex(),
            )
        elif model.then is None and model.changed_since:
            yield Cause(
                code="model-changed",
                detail=f"the name {what} stood for another file since the picture was made",
                next_step="`memoryd models show` tells which contents the name had, and when",
                weight=_WEIGHT_MODEL - 1,
                name=what,
                now=model.now.hex() if model.now else None,
            )
        elif model.then is None:
            unknown.append(what)
    if unknown:
        yield Cause(
            code="weights-unknown",
            detail=f"which weights had these names then is not known: {', '.join(unknown[:SHOWN_LIMIT])}",
            weight=_WEIGHT_LIKELY if likely else _WEIGHT_OF_ROUNDING,
        )


def _of_batch(about: Circumstances) -> Iterator[Cause]:
    then, now = about.batch_then, about.batch_now
    if then is not None and now is not None and then != now:
        yield Cause(
            code="batch-differs",
            detail=f"it was one of a batch of {then}, and a batch of {now} was run: sums are added up in another order",
            weight=_WEIGHT_BATCH,
            name="batch_size",
            then=then,
            now=now,
        )


def _of_notices(notices: Sequence[Cause], near: Nearness) -> Iterator[Cause]:
    device = any(each.name.startswith("devices.0") for each in near.differences)
    weights = {
        "api-node": _WEIGHT_SERVICE,
        "known-nondeterministic": _WEIGHT_CHANCE,
        "device-noise": _WEIGHT_OTHER_DEVICE if device else 0 if near.known else _WEIGHT_DEVICE_UNKNOWN,
    }
    for notice in notices:
        weight = weights.get(notice.code, 0)
        if weight:
            yield dataclasses.replace(notice, weight=weight)


def _of_environments(about: Circumstances, near: Nearness, *, likely: bool) -> Iterator[Cause]:
    if about.then is None or about.now is None:
        yield _unknown(about, weight=_WEIGHT_LIKELY if likely else _WEIGHT_POSSIBLE)
        return
    told = list(_told(near, Bearing.PIXELS))
    yield from told
    if not told:
        yield Cause(
            code="environment-same",
            detail="versions, flags and devices are those of then, as far as they were recorded",
            weight=_WEIGHT_SAME,
        )


def _told(near: Nearness, bearing: Bearing) -> Iterator[Cause]:
    differences = [each for each in near.differences if each.bearing is bearing]
    for each in differences[:SHOWN_LIMIT]:
        yield Cause(
            code="environment-differs",
            detail=f"{each.name}: {_word(each.then)} then, {_word(each.now)} now",
            next_step="a worker with the old one, in a pool of its own, can tell whether this is why",
            weight=each.weight,
            name=each.name,
            then=each.then,
            now=each.now,
        )
    if len(differences) > SHOWN_LIMIT:
        yield Cause(
            code="environment-differs-more", detail=f"{len(differences) - SHOWN_LIMIT} lighter differences more"
        )


def _unknown(about: Circumstances, *, weight: int) -> Cause:
    if about.then is None:
        detail = "on which ComfyUI, torch and device the original was made is not known: its file does not tell"
    else:
        detail = "what made it again is not known"
    return Cause(code="environment-unknown", detail=detail, weight=weight)


def _not_deterministic(causes: Sequence[Cause]) -> Cause:
    reasons = [each.detail for each in causes if each.code in _CHANCE or each.code == "device-noise"]
    told = f" ({'; '.join(reasons)[: 2 * WORD_LIMIT]})" if reasons else ""
    detail = f"two runs here differ: this workflow does not repeat itself{told}"
    return Cause(
        code=NOT_DETERMINISTIC,
        detail=detail,
        next_step="keep the original: no run can be relied on to give it again; --deterministic may help on that worker",
        weight=_WEIGHT_NOT_DETERMINISTIC,
        tested=Tested(by=TestedBy.REPEAT, holds=True, detail="the second run on the same worker came out otherwise"),
    )


def _undecided(cause: Cause) -> Cause:
    if cause.code not in _BETWEEN:
        return cause
    tested = Tested(
        by=TestedBy.REPEAT, holds=None, detail="two runs here differ by themselves: whether this is why cannot be told"
    )
    return dataclasses.replace(cause, tested=tested)


def _after_equal_runs(cause: Cause) -> Cause:
    if cause.code in _BETWEEN:
        detail = "two runs here are equal, so the difference lies between then and now"
        return dataclasses.replace(cause, tested=Tested(by=TestedBy.REPEAT, holds=None, detail=detail))
    if cause.code in _CHANCE:
        detail = "two runs here are equal: chance did not show"
        tested = Tested(by=TestedBy.REPEAT, holds=False, detail=detail)
        return dataclasses.replace(cause, weight=min(cause.weight, _WEIGHT_SAME), tested=tested)
    if cause.code == "environment-same":
        return Cause(
            code=UNRECORDED,
            detail="two runs here are equal, and nothing that was recorded differs: it lies between then and now,"
            " in what nobody recorded",
            next_step="look at what changed on that machine since: the plan names the run and its time",
            weight=cause.weight,
            tested=Tested(by=TestedBy.REPEAT, holds=True, detail="the second run on the same worker came out equal"),
        )
    return cause


def _beside(cause: Cause, other: SecondRun) -> Cause:
    """Return an environment's difference in the light of a worker on which it may not be one."""
    if cause.code != "environment-differs":
        return cause
    as_then = cause.name in other.same_as_then
    if other.verdict in _PIXELS_EQUAL:
        if as_then:
            detail = f"on {other.worker}, where this is as it was then, the same pixels come out"
            tested = Tested(by=TestedBy.OTHER_WORKER, holds=True, detail=detail)
            return dataclasses.replace(cause, weight=cause.weight + _HOLDS, tested=tested)
        detail = f"{other.worker} differs in this too, and the same pixels come out there"
        return _ruled_out(cause, detail)
    if other.as_first and as_then:
        return _ruled_out(cause, f"on {other.worker}, where this is as it was then, the same comes out as here")
    return cause


def _ruled_out(cause: Cause, detail: str) -> Cause:
    return dataclasses.replace(
        cause, weight=_WEIGHT_SAME - 1, tested=Tested(by=TestedBy.OTHER_WORKER, holds=False, detail=detail)
    )


def _word(value: Json) -> str:
    match value:
        case _ if value in (None, "", [], {}):
            word = "none"
        case list():
            word = " ".join(map(_word, value))
        case dict():
            word = ", ".join(f"{name} {_word(each)}" for name, each in sorted(value.items()))
        case _:
            word = str(value)
    return word if len(word) <= WORD_LIMIT else f"{word[:WORD_LIMIT]}…"
