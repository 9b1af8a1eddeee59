"""The verdict that every asset has by itself: kept per set of models, worked out as assets come, found by search.

An asset points to its set; the set has one verdict for each occasion that a project is for. Lines carry it as marks
(`verdict-review`, `licence-apache-2.0`) in that project alone (INV-6).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from memoryd.catalog.marks import ProjectMarks, set_project_marks
from memoryd.clearance.facts import UNKNOWN_MAKING, Kind, ModelInUse, Occasion, Verdict, strictest
from memoryd.clearance.gathering import Entry, models_of, recalls_of, with_grants
from memoryd.clearance.judging import judge
from memoryd.clearance.keeping import keep, same_judgement
from memoryd.clearance.occasions import occasion_digest, project_occasion
from memoryd.clearance.queries import making as queries
from memoryd.clearance.queries import verdicts
from memoryd.clearance.queries.making import Pair
from memoryd.dispatch import chores
from memoryd.dispatch.facts import Chore
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.ids import ProjectId
from memoryd.model_registry.licensing.granting import grants_of

CHORE_KIND = "clear"
ASSETS = "assets"
"""The chore's subjects are assets: what stands behind them, and their verdicts."""
MARKS = "marks"
"""The chore's subjects are assets whose sets have another verdict."""
PROJECTS = "projects"
"""The chore's subjects are projects that are for something else now."""

ASSETS_AT_ONCE = 5_000
"""Assets that are put into chores in one unit of work."""

VERDICT, LICENCE = "verdict", "licence"
NO_LICENCE = "unknown"
"""`licence-unknown`: something took part for which nobody named a licence."""

_NO_SLUG = re.compile(r"[^a-z0-9.]+")
SLUG_LIMIT = 100


def do_chore(means: chores.Means, chore: Chore) -> None:
    """Do a chore of this kind; done again, it changes nothing."""
    if chore.recipe == PROJECTS:
        for project in chore.subjects:
            follow_project(means.database, means.tenant, ProjectId(project))
        return
    with means.database.tenant_work(means.tenant) as session:
        if chore.recipe == MARKS:
            mark_pairs(session, queries.list_pairs(session, chore.subjects, None))
            return
        children = follow_assets(session, chore.subjects)
        if children:
            add_chores(session, means.tenant, ASSETS, children)


def follow_assets(session: Session, assets: Collection[UUID]) -> list[UUID]:
    """Work out the sets of assets and mark their lines; return assets made from those whose set changed, to be followed."""
    pairs = queries.list_pairs(session, assets, None)
    found = models_of(session, pairs)
    sets = {one.digest: one for one in found.values()}
    queries.keep_sets(
        session,
        [
            {
                "digest": digest,
                "entries": [entry.as_json() for entry in sets[digest].entries],
                "models": sorted({entry.sha256 for entry in sets[digest].entries if entry.sha256 is not None}),
            }
            for digest in sorted(sets)
        ],
    )
    changed = queries.keep_sets_of(session, [(pair, found[pair].digest) for pair in pairs])
    mark_pairs(session, pairs)
    done = set(assets)
    below = queries.list_children(session, {asset for asset, _ in changed}) if changed else []
    return [asset for asset in below if asset not in done]


def mark_pairs(session: Session, pairs: Sequence[Pair]) -> None:
    """Mark the lines of assets with the verdicts and licences of their sets."""
    lines: defaultdict[UUID | None, defaultdict[UUID, set[bytes]]] = defaultdict(lambda: defaultdict(set))
    for row in queries.list_line_sets(session, pairs):
        lines[row.project_id][row.root_id].add(row.digest)
    marks: list[ProjectMarks] = []
    for project, roots in lines.items():
        occasion = project_occasion(session, None if project is None else ProjectId(project))
        judged = judge_sets(session, set().union(*roots.values()), occasion)
        for root, digests in roots.items():
            verdict = strictest(judged[digest][0] for digest in digests)
            words = {f"{VERDICT}-{verdict.value}"}.union(*(judged[digest][1] for digest in digests))
            marks.append(ProjectMarks(root_id=root, project_id=project, words=tuple(sorted(words))))
    set_project_marks(session, marks, kinds=(VERDICT, LICENCE))


def judge_sets(
    session: Session, digests: Collection[bytes], occasion: Occasion
) -> dict[bytes, tuple[Verdict, frozenset[str]]]:
    """Return each set's verdict on an occasion and the words of its licences; what is new is kept."""
    sets = read_sets(session, digests)
    standing = {row.subject: row for row in verdicts.list_standing_sets(session, digests, occasion_digest(occasion))}
    judged = {}
    for digest, models in sorted(sets.items()):
        judgement = judge(models, occasion)
        if digest not in standing or not same_judgement(standing[digest], judgement):
            keep(
                session,
                kind=Kind.SET,
                subject=digest,
                name=set_name(models),
                project_id=None,
                person_id=None,
                occasion=occasion,
                judgement=judgement,
                models=models,
            )
        judged[digest] = (judgement.verdict, licence_words(models))
    return judged


def read_sets(session: Session, digests: Collection[bytes]) -> dict[bytes, tuple[ModelInUse, ...]]:
    """Return the models of sets, with what grants a licence to each as of now."""
    sets = {
        digest: [Entry.read(each) for each in entries]
        for digest, entries in queries.list_sets(session, digests).items()
    }
    known = {entry.sha256 for entries in sets.values() for entry in entries if entry.sha256 is not None}
    grants, recalls = grants_of(session, known), recalls_of(session, known)
    return {digest: with_grants(entries, grants, recalls) for digest, entries in sets.items()}


def licence_words(models: Iterable[ModelInUse]) -> frozenset[str]:
    """Return the marks of the licences of models; of those that another project's pictures alone tell of, none."""
    words = set()
    for model in models:
        if model.elsewhere or model.role == UNKNOWN_MAKING:
            continue
        if all(grant.inherited for grant in model.grants):
            words.add(f"{LICENCE}-{NO_LICENCE}")
        for grant in model.grants:
            slug = licence_slug(grant.terms.id if grant.terms is not None else grant.name)
            if slug:
                words.add(f"{LICENCE}-{slug}")
    return frozenset(words)


def licence_slug(name: str) -> str:
    """Return a licence's name as a word of a search: `Apache 2.0` is `apache-2.0`."""
    return _NO_SLUG.sub("-", name.lower()).strip("-.")[:SLUG_LIMIT].rstrip("-.")


def set_name(models: Sequence[ModelInUse]) -> str:
    """Return what to call a set: the names of its models."""
    names = [model.name for model in models if not model.elsewhere]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def follow_project(database: Database, tenant: TenantScope, project: ProjectId) -> None:
    """Let everything of a project be marked anew: it is for something else now."""
    follow(database, tenant, project, MARKS)


def follow(database: Database, tenant: TenantScope, project: ProjectId | None, recipe: str) -> int:
    """Put all assets of a project, or of the tenant, into chores; return how many."""
    after, count = None, 0
    while True:
        with database.tenant_work(tenant) as session:
            some = queries.list_assets(session, project, after=after, limit=ASSETS_AT_ONCE)
            add_chores(session, tenant, recipe, some)
        count += len(some)
        if len(some) < ASSETS_AT_ONCE:
            return count
        after = some[-1]


def follow_sets(database: Database, tenant: TenantScope, digests: Mapping[bytes, object]) -> None:
    """Let everything that was made with one of these sets be marked anew."""
    after = None
    while digests:
        with database.tenant_work(tenant) as session:
            some = queries.list_assets_of_sets(session, list(digests), after=after, limit=ASSETS_AT_ONCE)
            add_chores(session, tenant, MARKS, some)
        if len(some) < ASSETS_AT_ONCE:
            return
        after = some[-1]


def renew(database: Database, tenant: TenantScope) -> int:
    """Queue what has to be worked out anew since something under it changed; return how many assets that are."""
    renewed = 0
    while True:
        with database.tenant_work(tenant) as session:
            assets = queries.take_stale(session, ASSETS_AT_ONCE)
            add_chores(session, tenant, ASSETS, assets)
        renewed += len(assets)
        if len(assets) < ASSETS_AT_ONCE:
            return renewed


def add_chores(session: Session, tenant: TenantScope, recipe: str, subjects: Sequence[UUID]) -> None:
    """Queue chores of this kind; `session` has the tenant, and has it again afterwards."""
    if subjects:
        take_farm(session)
        chores.add(session, tenant, CHORE_KIND, recipe, list(subjects))
        take_tenant(session, tenant)
