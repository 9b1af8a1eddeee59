"""Who am I, who else is there, which keys; signing in and out; the audit trail."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from memoryd.access import audit, keys, people, projects, sealer, sessions, trail_export
from memoryd.access.chain import Checkpoint
from memoryd.access.facts import Caller
from memoryd.access.guards import (
    Administrator,
    AdministratorCaller,
    AnyCaller,
    Office,
    Reader,
    public_address,
    refuse_foreign_origin,
)
from memoryd.access.wire import (
    AuditEntryShape,
    AuditList,
    CheckpointShape,
    KeyList,
    KeyShape,
    NewKeyRequest,
    NewKeyShape,
    NewPerson,
    NewProject,
    PersonList,
    PersonShape,
    ProjectList,
    ProjectPlaces,
    ProjectShape,
    SignedIn,
    SignInLinkShape,
    SignInToken,
    VerificationShape,
    WhoAmI,
)
from memoryd.foundation.errors import NotFound

router = APIRouter(tags=["access"])


class NothingSealed(NotFound):
    """The audit trail has no entry yet."""


@router.get("/whoami")
def who_am_i(caller: AnyCaller, office: Office) -> WhoAmI:
    """Who the server takes you for, and what you may do."""
    with office.database.tenant_work(caller.tenant) as session:
        return WhoAmI.of(caller, projects.list_projects(session, caller.sees))


@router.post("/sign-in")
def sign_in(token: SignInToken, request: Request, response: Response, office: Office) -> SignedIn:
    """Use up a one-time link: the answer carries a session's cookie."""
    refuse_foreign_origin(request)
    started = sessions.redeem_sign_in_link(office.database, token.token)
    with office.database.tenant_work(started.tenant) as session:
        person = people.show_person_by_id(session, started.person_id)
        caller = sessions.caller_for(session, started.tenant, started.person_id, person.login, via="session")
        audit.note(session, caller, "session.begin", str(started.person_id), {})
    response.set_cookie(
        sessions.SESSION_COOKIE,
        started.cookie,
        max_age=int(started.life.total_seconds()),
        httponly=True,
        # Lax, not Strict: a link to a picture, sent by mail, opens signed in.
        samesite="lax",
        secure=public_address(request, office.settings).startswith("https:"),
    )
    return SignedIn(tenant=started.tenant.slug, name=person.display_name)


@router.post("/sign-out", status_code=204)
def sign_out(request: Request, response: Response, caller: AnyCaller, office: Office) -> None:
    """End this browser's session."""
    cookie = request.cookies.get(sessions.SESSION_COOKIE)
    if cookie and caller.via == "session":
        with office.database.tenant_work(caller.tenant) as session:
            sessions.end_session(session, cookie)
            audit.note(session, caller, "session.end", str(caller.person_id), {})
    response.delete_cookie(sessions.SESSION_COOKIE)


@router.get("/people")
def list_people(work: Administrator) -> PersonList:
    """Everybody of the tenant, with their roles."""
    return PersonList(items=[PersonShape.of(person) for person in people.list_people(work.session)])


@router.post("/people", status_code=201)
def add_person(asked: NewPerson, work: Administrator, office: Office) -> PersonShape:
    """Record a person with a role, or give a known one a further role."""
    person = people.ensure_person(work.session, asked.login, asked.display_name or asked.login)
    project = projects.find_project(work.session, asked.project) if asked.project else None
    people.grant_role(work.session, person, asked.role, project)
    if asked.email:
        people.set_email(work.session, office.keys, person, asked.email)
    audit.note(
        work.session, work.caller, "person.grant", str(person), {"role": asked.role.value, "project": asked.project}
    )
    return PersonShape.of(people.show_person_by_id(work.session, person))


@router.delete("/people/{login}", status_code=204)
def erase_person(login: str, work: Administrator) -> None:
    """Erase a person: names and proofs of identity go, what they did stays without them."""
    person = people.find_person(work.session, login)
    people.erase_person(work.session, person)
    audit.note(work.session, work.caller, "person.erase", str(person), {})


@router.delete("/people/{login}/roles", status_code=204)
def withdraw_role(login: str, work: Administrator, project: str | None = None) -> None:
    """Take somebody's role in a project, or in the whole tenant, away."""
    person = people.find_person(work.session, login)
    people.withdraw_role(work.session, person, projects.find_project(work.session, project) if project else None)
    audit.note(work.session, work.caller, "person.withdraw", str(person), {"project": project})


@router.post("/people/{login}/sign-in-links", status_code=201)
def make_sign_in_link(login: str, request: Request, work: Administrator, office: Office) -> SignInLinkShape:
    """A one-time link that signs a person in; shown once."""
    person = people.find_person(work.session, login)
    link = sessions.make_sign_in_link(work.session, work.caller.tenant.slug, person)
    audit.note(work.session, work.caller, "person.link", str(person), {})
    address = public_address(request, office.settings)
    return SignInLinkShape(url=f"{address}{link.path}", token=link.token, expires_at=link.expires_at)


@router.get("/projects")
def list_projects(work: Reader) -> ProjectList:
    """The projects that you see."""
    return ProjectList(items=[ProjectShape.of(p) for p in projects.list_projects(work.session, work.caller.sees)])


@router.post("/projects", status_code=201)
def add_project(asked: NewProject, work: Administrator) -> ProjectShape:
    """Make a project; one that is there stays as it is."""
    made = projects.ensure_project(work.session, asked.slug, asked.name)
    audit.note(work.session, work.caller, "project.ensure", str(made), {"slug": asked.slug})
    return ProjectShape.of(next(p for p in projects.list_projects(work.session) if p.id == made))


@router.patch("/projects/{slug}")
def place_project(slug: str, asked: ProjectPlaces, work: Administrator) -> ProjectShape:
    """Say in which pools and regions a project's jobs may run."""
    project = projects.find_project(work.session, slug)
    places = {name: getattr(asked, name) for name in asked.model_fields_set}
    projects.place_project(work.session, project, places)
    audit.note(work.session, work.caller, "project.place", str(project), dict(places))
    return ProjectShape.of(next(p for p in projects.list_projects(work.session) if p.id == project))


@router.get("/keys")
def list_keys(work: Administrator) -> KeyList:
    """Every API key of the tenant, without its secret."""
    return KeyList(items=[KeyShape.of(key) for key in keys.list_keys(work.session)])


@router.post("/keys", status_code=201)
def add_key(asked: NewKeyRequest, work: Administrator) -> NewKeyShape:
    """Make an API key; its token is shown once."""
    person = people.find_person(work.session, asked.person) if asked.person else work.caller.person_id
    made = keys.make_key(
        work.session,
        work.caller.tenant,
        name=asked.name,
        scopes=frozenset(asked.scopes),
        person=person,
        expires_at=asked.expires_at,
    )
    audit.note(
        work.session,
        work.caller,
        "key.make",
        str(made.id),
        {"scopes": [scope.value for scope in sorted(asked.scopes)], "person": str(person), "prefix": made.prefix},
    )
    return NewKeyShape(id=made.id, prefix=made.prefix, token=made.token)


@router.delete("/keys/{prefix}", status_code=204)
def revoke_key(prefix: str, work: Administrator) -> None:
    """Revoke a key for good."""
    revoked = keys.revoke_key(work.session, prefix)
    audit.note(work.session, work.caller, "key.revoke", str(revoked), {"prefix": prefix})


@router.get("/audit")
def list_audit_entries(
    work: Administrator,
    office: Office,
    action: Annotated[str | None, Query(description="an action (`asset.tag`) or a room's (`asset.`)")] = None,
    subject: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> AuditList:
    """Sealed entries, newest first. What committed in the last fraction of a second may still be unsealed."""
    page = audit.list_entries(work.session, office.keys, action=action, subject=subject, cursor=cursor, limit=limit)
    return AuditList(items=[AuditEntryShape.of(entry) for entry in page.rows], next_cursor=page.next_cursor)


@router.get("/audit/verification")
def verify_audit_trail(caller: AdministratorCaller, office: Office) -> VerificationShape:
    """Whether the trail is as it was sealed, from its first entry to its last."""
    return VerificationShape.of(trail_export.verify_trail(office.database, caller.tenant, office.keys))


@router.post("/audit/verification")
def verify_audit_trail_against(
    kept: list[CheckpointShape], caller: AdministratorCaller, office: Office
) -> VerificationShape:
    """The same, against checkpoints that were kept outside: only so is a trail that was cut off found out."""
    outside = tuple(_checkpoint(each) for each in kept)
    return VerificationShape.of(trail_export.verify_trail(office.database, caller.tenant, office.keys, outside))


@router.post("/audit/checkpoints", status_code=201)
def make_checkpoint(caller: AdministratorCaller, office: Office) -> CheckpointShape:
    """A signed statement of how far the trail has come, to be kept outside."""
    _seal_all(caller, office)
    sealer.checkpoint_once(office.database, caller.tenant, office.keys)
    with office.database.tenant_work(caller.tenant) as session:
        checkpoint = sealer.find_checkpoint(session)
    if checkpoint is None:
        raise NothingSealed("there is nothing to sign", hint="the trail begins with the first action")
    return CheckpointShape.model_validate(trail_export.checkpoint_document(checkpoint))


@router.get("/audit/export", response_class=StreamingResponse)
def export_audit_trail(caller: AdministratorCaller, office: Office) -> StreamingResponse:
    """The whole trail, one JSON object per line, to be verified offline with `memoryd audit verify FILE`."""
    _seal_all(caller, office)
    sealer.checkpoint_once(office.database, caller.tenant, office.keys)
    return StreamingResponse(
        trail_export.export_trail(office.database, caller.tenant),
        media_type="application/x-ndjson",
        headers={"Content-Disposition": f'attachment; filename="audit-{caller.tenant.slug}.jsonl"'},
    )


def _seal_all(caller: Caller, office: Office) -> None:
    while sealer.seal_once(office.database, caller.tenant, office.keys):
        pass


def _checkpoint(shape: CheckpointShape) -> Checkpoint:
    return trail_export.read_checkpoint(shape.model_dump_json().encode())
