"""Gathers what a bill of materials tells, as far as the caller may see it, in one unit of work."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence

from memoryd.access import projects
from memoryd.access.facts import Caller
from memoryd.catalog.asset_view import AssetView, GenerationView
from memoryd.catalog.environments import EnvironmentNotFound, load_environment
from memoryd.catalog.looking_up import find_asset
from memoryd.catalog.showing import show_asset
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId
from memoryd.model_registry.naming import resolve_names
from memoryd.reports.bom import queries
from memoryd.reports.bom.composing import NOTICE
from memoryd.reports.bom.describing import Use, describe_models
from memoryd.reports.bom.facts import BomContent, BomFile, BomModel, BomProgram, BomSubject
from memoryd.submission.graph_needs import read_prompt
from memoryd.workflows.identity import identify

MODELS_LIMIT = 5_000
"""Models of one bill. Of a project with more, the most used ones are told, and that there are more."""

FAMILY_LIMIT = 200
"""Parents of an asset, at whatever distance, whose making is told too."""

UNKNOWNS_TOLD = 200


def of_asset(session: Session, caller: Caller, ref: str, now: datetime.datetime) -> BomContent:
    """Return what an asset is made of: its own runs, and those of what it was made from.

    Raises: AssetNotFound, AssetAmbiguous.
    """
    own = show_asset(session, find_asset(session, ref, caller.sees), caller.sees)
    family = _family(session, caller, own)
    files, uses, programs = _Files(), _Uses(), _Programs(session)
    unknowns = []
    for view in family:
        used = [use for run in view.generations for use in _uses_of(run)]
        told = [uses.add(use) for use in used]
        files.asset(
            view,
            models=told,
            inputs=[ref for run in view.generations for ref in files.inputs(run, family)],
            programs=[ref for run in view.generations for ref in programs.of(run)],
        )
        if not view.generations:
            unknowns.append(f"how {_name(view)} was made is not known")
        unknowns += [
            f"the content of the input {each.name!r} is not known"
            for run in view.generations
            for each in run.inputs
            if each.sha256 is None
        ]
    models = describe_models(session, uses.all())
    root = f"file:{own.sha256.hex()}"
    return BomContent(
        subject=BomSubject.ASSET,
        root=root,
        name=_name(own),
        made_at=now,
        models=models,
        files=files.all(),
        programs=programs.all(),
        unknowns=_told([*unknowns, *_unknown_models(models)]),
        facts={"subject": BomSubject.ASSET.value, "notice": NOTICE},
    )


def of_workflow(session: Session, prompt: str, name: str, now: datetime.datetime) -> BomContent:
    """Return what a graph (API format, JSON text) names, with the contents that its names stand for now.

    Raises: GraphRefused.
    """
    read = read_prompt(prompt)
    now_named = resolve_names(session, read.needs.models)
    uses = [
        Use(role=role, name=used, sha256=sha256, identified=None if sha256 is None else "name-now")
        for role, used in read.needs.models
        for sha256 in [now_named.get((role, used))]
    ]
    models = describe_models(session, uses)
    assert read.graph is not None  # `needs` refuses what has none
    digest = identify(read.graph).exact.hex()
    return BomContent(
        subject=BomSubject.WORKFLOW,
        root=f"workflow:{digest}",
        name=name,
        made_at=now,
        models=models,
        unknowns=_told([*_unknown_models(models)]),
        facts={"subject": BomSubject.WORKFLOW.value, "graph": digest, "notice": NOTICE},
        root_models=tuple(model.ref for model in models),
    )


def of_project(session: Session, caller: Caller, slug: str, now: datetime.datetime) -> BomContent:
    """Return what the runs of a project used. Raises: ProjectNotFound, also for one that the caller does not see."""
    project = projects.find_project(session, slug, caller.sees)
    rows = queries.list_project_models(session, project, limit=MODELS_LIMIT + 1)
    uses = [
        Use(
            role=row.role,
            name=row.name,
            sha256=None if row.sha256 is None else bytes(row.sha256),
            identified=row.identified,
            uses=row.uses,
        )
        for row in rows[:MODELS_LIMIT]
    ]
    models = describe_models(session, uses)
    unknowns = list(_unknown_models(models))
    if len(rows) > MODELS_LIMIT:
        unknowns.insert(0, f"it names more than {MODELS_LIMIT} models (MODELS_LIMIT): the others are not told")
    counted = queries.count_project_runs(session, project)
    facts = {"subject": BomSubject.PROJECT.value, "runs": str(counted.runs), "assets": str(counted.assets)}
    return BomContent(
        subject=BomSubject.PROJECT,
        root=f"project:{project}",
        name=slug,
        made_at=now,
        models=models,
        unknowns=_told(unknowns),
        facts={**facts, "notice": NOTICE},
        root_models=tuple(model.ref for model in models),
    )


def _family(session: Session, caller: Caller, own: AssetView) -> list[AssetView]:
    near = [relative.face.id for relative in own.parents][:FAMILY_LIMIT]
    return [own, *(show_asset(session, AssetId(each), caller.sees) for each in dict.fromkeys(near) if each != own.id)]


def _uses_of(run: GenerationView) -> Iterable[Use]:
    for model in run.models:
        yield Use(role=model.role, name=model.name, sha256=model.sha256, identified=model.identified)


class _Uses:
    """Models that were named, each once."""

    def __init__(self) -> None:
        self._known: dict[str, Use] = {}

    def add(self, use: Use) -> str:
        """Note a use, and return its ref."""
        self._known.setdefault(use.ref, use)
        return use.ref

    def all(self) -> list[Use]:
        """Return them in the order in which they were named first."""
        return list(self._known.values())


class _Files:
    """Assets and input files, each once."""

    def __init__(self) -> None:
        self._known: dict[str, BomFile] = {}

    def asset(self, view: AssetView, *, models: Sequence[str], inputs: Sequence[str], programs: Sequence[str]) -> None:
        """Note an asset with what it was made of."""
        file = BomFile(
            name=_name(view),
            sha256=view.sha256,
            media_type=view.media_type,
            asset_id=str(view.id),
            making_known=bool(view.generations),
            models=tuple(dict.fromkeys(models)),
            inputs=tuple(dict.fromkeys(ref for ref in inputs if ref != f"file:{view.sha256.hex()}")),
            programs=tuple(dict.fromkeys(programs)),
        )
        self._known[file.ref] = file

    def inputs(self, run: GenerationView, family: Sequence[AssetView]) -> list[str]:
        """Note the inputs of a run, and return their refs; one that is an asset of the family stands for itself."""
        assets = {one.sha256 for one in family}
        refs = []
        for use in run.inputs:
            file = BomFile(name=use.name, sha256=use.sha256, making_known=False)
            if use.sha256 is None or use.sha256 not in assets:
                self._known.setdefault(file.ref, file)
            refs.append(file.ref)
        return refs

    def all(self) -> tuple[BomFile, ...]:
        """Return them."""
        return tuple(self._known.values())


class _Programs:
    """ComfyUI, torch and node packs, as the environments of runs tell them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[str, BomProgram] = {}
        self._of: dict[bytes, list[str]] = {}

    def of(self, run: GenerationView) -> list[str]:
        """Note what a run ran in, and return the refs."""
        if run.environment is None:
            return []
        if run.environment not in self._of:
            found = list(self._read(run.environment))
            self._known |= {program.ref: program for program in found}
            self._of[run.environment] = [program.ref for program in found]
        return self._of[run.environment]

    def all(self) -> tuple[BomProgram, ...]:
        """Return them."""
        return tuple(self._known.values())

    def _read(self, digest: bytes) -> Iterable[BomProgram]:
        try:
            document = load_environment(self._session, digest)
        except EnvironmentNotFound:
            return
        facts = {"environment": digest.hex()}
        if isinstance(version := document.get("comfyui"), str):
            commit = document.get("comfyui_commit")
            told = {**facts, "commit": commit} if isinstance(commit, str) else facts
            yield BomProgram(name="ComfyUI", version=version, kind="application", facts=told)
        if isinstance(torch := document.get("torch"), str):
            yield BomProgram(name="torch", version=torch, kind="framework", facts=facts)
        packs = document.get("node_packs")
        for pack in packs if isinstance(packs, list) else ():
            if isinstance(pack, Mapping) and isinstance(name := pack.get("name"), str):
                commit, remote = pack.get("commit"), pack.get("remote")
                yield BomProgram(
                    name=name,
                    version=commit if isinstance(commit, str) else None,
                    kind="library",
                    url=remote if isinstance(remote, str) else None,
                    facts=facts,
                )


def _unknown_models(models: Iterable[BomModel]) -> Iterable[str]:
    for model in models:
        if model.sha256 is None:
            yield f"which file {model.role}/{model.name} was is not known"
        elif not any(not licence.inherited for licence in model.licences):
            yield f"nobody named a licence for {model.role}/{model.name}"


def _told(unknowns: Sequence[str]) -> tuple[str, ...]:
    kept = tuple(dict.fromkeys(unknowns))
    if len(kept) <= UNKNOWNS_TOLD:
        return kept
    return (*kept[:UNKNOWNS_TOLD], f"and {len(kept) - UNKNOWNS_TOLD} more")


def _name(view: AssetView) -> str:
    names = (member.face.name for member in view.line if member.face.id == view.id)
    return next((name for name in names if name), None) or view.sha256.hex()
