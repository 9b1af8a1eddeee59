"""A query as conditions on the catalogue's tables."""

from __future__ import annotations

import dataclasses
import datetime
import operator
from collections.abc import Callable, Mapping
from typing import Any as AnyType
from typing import TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, and_, cast, exists, false, not_, or_, select, true
from sqlalchemy.dialects.postgresql import TSQUERY

from memoryd.access.facts import Sees
from memoryd.catalog.column_limits import seed_bytes
from memoryd.catalog.facts import LocationState
from memoryd.catalog.removal import RemovalKind
from memoryd.catalog.search_document import person_mark, project_mark, quoted
from memoryd.catalog.tables.content import Asset, AssetMark, AssetProject, AssetText, Lineage, Thumbnail
from memoryd.catalog.tables.decided import Attestation, Removal
from memoryd.catalog.tables.places import Location
from memoryd.catalog.tables.runs import (
    Generation,
    GenerationModel,
    GenerationOutput,
    GenerationPrompt,
    GenerationSampler,
)
from memoryd.search import lexemes
from memoryd.search.dates import span
from memoryd.search.facts import All, Any, Compare, Filter, Not, Part, Term
from memoryd.search.fields import is_digest_prefix, licence_word, node_condition, number
from memoryd.workflows.facts import RECIPE, Level
from memoryd.workflows.tables import GraphIdentity, StoredNodeValue, Workflow

Condition: TypeAlias = ColumnElement[bool]
_COMPARE: Mapping[Compare, Callable[[AnyType, AnyType], AnyType]] = {
    Compare.IS: operator.eq,
    Compare.LESS: operator.lt,
    Compare.AT_MOST: operator.le,
    Compare.MORE: operator.gt,
    Compare.AT_LEAST: operator.ge,
}
_DECISIONS = frozenset({"approved", "rejected"})
_REMOVALS = frozenset(kind.value for kind in RemovalKind)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """By whom and when a query is asked, and what its names of projects and people mean (None: nothing they see)."""

    sees: Sees
    now: datetime.datetime
    projects: Mapping[str, UUID | None]
    people: Mapping[str, UUID | None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Met:
    """What a part of a query comes to: a tsquery on the words, one on the marks, or a condition; one of the three."""

    words: str | None = None
    marks: str | None = None
    condition: ColumnElement[bool] | None = None

    def sql(self) -> ColumnElement[bool]:
        if self.words is not None:
            return AssetText.words.op("@@", is_comparison=True)(cast(self.words, TSQUERY))
        if self.marks is not None:
            marked = select(AssetMark.root_id).where(
                AssetMark.marks.op("@@", is_comparison=True)(cast(self.marks, TSQUERY))
            )
            return AssetText.root_id.in_(marked)
        assert self.condition is not None
        return self.condition


_MARKS = {"lora": "l", "sampler": "s", "scheduler": "c", "input": "i", "vae": "v", "embedding": "e", "tool": "k"}
"""The kind of mark that a field's names are found by."""


def condition(part: Part | None, asked: Asked) -> ColumnElement[bool]:
    """Return what a query asks of an asset's row in asset_text."""
    met = None if part is None else _met(part, asked)
    return true() if met is None else met.sql()


def _met(part: Part, asked: Asked) -> _Met | None:
    """Return what a part comes to; None where it asks for nothing (punctuation)."""
    match part:
        case Term():
            words = lexemes.term_query(part)
            return None if words is None else _Met(words=words)
        case Filter():
            return _filter(part, asked)
        case Not(part=inner):
            met = _met(inner, asked)
            if met is None:
                return None
            return _Met(words=f"!{met.words}") if met.words is not None else _Met(condition=not_(met.sql()))
        case All(parts=parts):
            return _together([_met(one, asked) for one in parts], lexemes.all_of, and_, merge_marks=False)
        case Any(parts=parts):
            return _together([_met(one, asked) for one in parts], lexemes.any_of, or_, merge_marks=True)


def _together(
    parts: list[_Met | None],
    join: Callable[[list[str]], str | None],
    combine: Callable[..., ColumnElement[bool]],
    *,
    merge_marks: bool,
) -> _Met | None:
    """Join parts; those on the words become one tsquery, which one index answers."""
    real = [part for part in parts if part is not None]
    words = join([part.words for part in real if part.words is not None])
    joined = [] if words is None else [_Met(words=words)]
    rest = [part for part in real if part.words is None]
    if merge_marks and (marks := join([part.marks for part in rest if part.marks is not None])) is not None:
        joined.append(_Met(marks=marks))
        rest = [part for part in rest if part.marks is None]
    joined += rest
    if len(joined) > 1:
        return _Met(condition=combine(*(part.sql() for part in joined)))
    return joined[0] if joined else None


def _filter(part: Filter, asked: Asked) -> _Met | None:
    field, value = part.field, part.value
    match field:
        case "lora" | "sampler" | "scheduler" | "input" | "vae" | "embedding" | "tool":
            return _words(lexemes.name_query(_MARKS[field], value))
        case "model":
            return _model(value)
        case "negative":
            return _words(lexemes.negative_query(value))
        case "project":
            project = asked.projects[value]
            return _Met(condition=false()) if project is None else _words(quoted(project_mark(project)))
        case "person":
            person = asked.people[value]
            return _Met(condition=false()) if person is None else _words(quoted(person_mark(person)))
        case "tag":
            return _attached("t", " ".join(value.split()).casefold(), asked)
        case "collection":
            return _attached("g", " ".join(value.split()).casefold(), asked)
        case "verdict":
            return _attached("f", f"verdict-{value}", asked)
        case "licence":
            return _attached("f", f"licence-{licence_word(value)}", asked, begins=value.endswith("*"))
        case "rating":
            return _rating(part, asked)
        case "is":
            return _is(value, asked)
        case "has":
            return _has(value, asked)
        case "after" | "before" | "on":
            return _Met(condition=_dated(field, value, asked.now))
        case "node":
            return _node(value)
        case _:
            return _Met(condition=_of_row(part, asked))


def _words(query: str | None) -> _Met:
    return _Met(condition=false()) if query is None else _Met(words=query)


def _model(value: str) -> _Met:
    named = _words(lexemes.name_query("ml", value))
    if not is_digest_prefix(value):
        return named
    used = GenerationModel.sha256.between(*_digests(value))
    return _Met(condition=or_(named.sql(), _made_by(GenerationModel, used)))


def _digests(prefix: str) -> tuple[bytes, bytes]:
    return bytes.fromhex(prefix.ljust(64, "0")), bytes.fromhex(prefix.ljust(64, "f"))


def _made_by(table: AnyType, where: ColumnElement[bool]) -> ColumnElement[bool]:
    """The condition that a run with such a fact made the asset."""
    same_output = and_(
        table.generation_id == GenerationOutput.generation_id, table.output_node == GenerationOutput.node
    )
    # What a project declared of bytes that another owns too must not be found out by asking for it (INV-6).
    foreign = exists().where(
        Attestation.generation_id == GenerationOutput.generation_id,
        AssetProject.asset_id == Attestation.asset_id,
        AssetProject.project_id.is_distinct_from(Attestation.project_id),
    )
    return AssetText.asset_id.in_(select(GenerationOutput.asset_id).join(table, same_output).where(where, ~foreign))


def _attached(kind: str, word: str, asked: Asked, *, begins: bool = False) -> _Met:
    """What people attached, in projects that the caller sees: marks carry the project, so that none is borrowed."""
    star = ":*" if begins else ""
    if asked.sees is None:
        return _Met(marks=quoted(f"{kind}:{word}") + star)
    options = lexemes.any_of(quoted(f"{kind}:{project.hex}:{word}") + star for project in sorted(asked.sees))
    return _Met(condition=false()) if options is None else _Met(marks=options)


def _rating(part: Filter, asked: Asked) -> _Met | None:
    stars = [n for n in range(6) if _COMPARE[part.compare](n, int(part.value))]
    options = [_attached("r", str(n), asked) for n in stars if n]
    if 0 in stars:
        options.append(_Met(condition=not_(_attached("r", "", asked, begins=True).sql())))
    return _together([*options], lexemes.any_of, or_, merge_marks=True) or _Met(condition=false())


def _is(value: str, asked: Asked) -> _Met | None:
    if value == "all":
        return None
    if value == RemovalKind.REJECTED:
        return _together(
            [_attached("a", value, asked), _attached("x", value, asked)], lexemes.any_of, or_, merge_marks=True
        )
    if value in _REMOVALS:
        return _attached("x", value, asked)
    if value in _DECISIONS:
        return _attached("a", value, asked)
    if value == "missing":
        here = exists().where(Location.asset_id == AssetText.asset_id, Location.state == LocationState.RECORDED.value)
        gone = exists().where(Location.asset_id == AssetText.asset_id, Location.state == LocationState.MISSING.value)
        return _Met(condition=and_(gone, not_(here)))
    return _Met(marks=quoted(f"is:{value}"))


def _has(value: str, asked: Asked) -> _Met:
    match value:
        case "tag" | "rating" | "note":
            return _attached(value[0], "", asked, begins=True)
        case "finding" | "findings":
            return _Met(marks=quoted("is:finding"))
        case "parents":
            return _Met(condition=AssetText.root_id.in_(select(Lineage.child_root)))
        case "children":
            return _Met(condition=AssetText.root_id.in_(select(Lineage.parent_root)))
        case "thumbnail":
            return _Met(condition=exists().where(Thumbnail.asset_id == AssetText.asset_id))
        case _:
            return _Met(condition=_made_by(GenerationPrompt, GenerationPrompt.text != ""))


def _dated(field: str, value: str, now: datetime.datetime) -> ColumnElement[bool]:
    dates = span(value, now)
    assert dates is not None
    start, end = dates
    match field:
        case "after":
            return AssetText.made_at >= start
        case "before":
            return AssetText.made_at < start
        case _:
            return and_(AssetText.made_at >= start, AssetText.made_at < max(end, start + datetime.timedelta(seconds=1)))


def _node(value: str) -> _Met:
    found = node_condition(value)
    if found is None:
        # Its mark finds samplers in any spelling of case; every executed class is among the values of its workflow.
        alike = (
            StoredNodeValue.class_type.startswith(value[:-1], autoescape=True)
            if value.endswith("*")
            else StoredNodeValue.class_type == value
        )
        named = select(StoredNodeValue.workflow).where(alike).scalar_subquery()
        marked = _words(lexemes.name_query("y", value)).sql()
        return _Met(condition=or_(marked, _of_workflows(GraphIdentity.digest.in_(named))))
    class_type, name, compare, wanted = found
    as_number = number(wanted)
    alike = StoredNodeValue.text == wanted
    if as_number is not None:
        compared = _COMPARE[compare](StoredNodeValue.number, as_number)
        alike = or_(compared, alike) if compare is Compare.IS else compared
    values = (
        select(StoredNodeValue.workflow)
        .where(StoredNodeValue.class_type == class_type, StoredNodeValue.input == name, alike)
        .scalar_subquery()
    )
    return _Met(condition=_of_workflows(GraphIdentity.digest.in_(values)))


def _of_workflows(where: ColumnElement[bool]) -> ColumnElement[bool]:
    return AssetText.asset_id.in_(
        select(GenerationOutput.asset_id)
        .join(Generation, Generation.id == GenerationOutput.generation_id)
        .join(GraphIdentity, GraphIdentity.exact == Generation.exact)
        .where(GraphIdentity.level == Level.WORKFLOW.value, GraphIdentity.recipe == RECIPE, where)
    )


def _of_row(part: Filter, asked: Asked) -> ColumnElement[bool]:
    field, value, compare = part.field, part.value, _COMPARE[part.compare]
    match field:
        case "seed":
            return _made_by(GenerationSampler, GenerationSampler.seed == seed_bytes(int(value)))
        case "steps":
            return _made_by(GenerationSampler, compare(GenerationSampler.steps, int(value)))
        case "cfg":
            return _made_by(GenerationSampler, compare(GenerationSampler.cfg, float(value)))
        case "width" | "height":
            return _asset(compare(getattr(Asset, field), int(value)))
        case "size":
            width, height = value.lower().split("x")
            return _asset(and_(Asset.width == int(width), Asset.height == int(height)))
        case "kind":
            return _asset(Asset.kind == value)
        case "type":
            return _asset(Asset.media_type == value.lower())
        case "sha256":
            return _asset(Asset.sha256.between(*_digests(value)))
        case "job":
            runs = select(GenerationOutput.asset_id).join(Generation, Generation.id == GenerationOutput.generation_id)
            return AssetText.asset_id.in_(runs.where(Generation.job_id == UUID(value)))
        case "workflow":
            named = select(Workflow.digest).where(Workflow.name.icontains(value, autoescape=True)).scalar_subquery()
            alike: ColumnElement[bool] = GraphIdentity.digest.in_(named)
            if is_digest_prefix(value):
                alike = or_(alike, GraphIdentity.digest.between(*_digests(value)))
            return _of_workflows(alike)
        case _:
            assert field == "file"
            seen = true() if asked.sees is None else Location.project_id.in_(asked.sees)
            places = select(Location.asset_id).where(Location.shown_path.icontains(value, autoescape=True), seen)
            return AssetText.asset_id.in_(places.where(Location.asset_id.is_not(None)))


def _asset(where: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(Asset.id == AssetText.asset_id, where)


def visible(sees: Sees) -> ColumnElement[bool]:
    """The condition that the caller sees the asset, and that it was not erased."""
    there = _asset(Asset.erased_at.is_(None))
    if sees is None:
        return there
    owned = exists().where(AssetProject.asset_id == AssetText.asset_id, AssetProject.project_id.in_(sees))
    return and_(owned, there)


def in_sight(part: Part | None, asked: Asked) -> ColumnElement[bool]:
    """The condition that not every project in question removed the asset: those that the query names, else all seen.

    A query that itself asks for what was removed (`is:hidden`) is met by it.
    """
    if part is not None and _asks_for_removed(part):
        return true()
    named = {project for name in _projects_named(part) if (project := asked.projects[name]) is not None}
    owned = exists().where(AssetProject.asset_id == AssetText.asset_id)
    if named:
        owned = owned.where(AssetProject.project_id.in_(named))
    elif asked.sees is not None:
        owned = owned.where(AssetProject.project_id.in_(asked.sees))
    shows = owned.where(
        ~exists().where(Removal.root_id == AssetText.root_id, Removal.project_id == AssetProject.project_id)
    )
    # Nearly nothing is removed: that alone is asked first.
    return or_(~exists().where(Removal.root_id == AssetText.root_id), shows)


def _asks_for_removed(part: Part) -> bool:
    match part:
        case Filter(field=field, value=value):
            return field == "is" and value in _REMOVALS
        case Not(part=inner):
            return _asks_for_removed(inner)
        case All(parts=parts) | Any(parts=parts):
            return any(_asks_for_removed(one) for one in parts)
        case _:
            return False


def _projects_named(part: Part | None) -> list[str]:
    match part:
        case Filter(field="project", value=value):
            return [value]
        case All(parts=parts):
            return [name for one in parts for name in _projects_named(one)]
        case _:
            return []
