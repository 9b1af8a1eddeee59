"""Asking for jobs from a page: a graph with what it needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response, UploadFile
from fastapi.responses import RedirectResponse

from memoryd.access import projects
from memoryd.access.facts import Caller
from memoryd.access.guards import Office, Offices, Reader, SubmitterCaller
from memoryd.dispatch import pools
from memoryd.dispatch.facts import Urgency
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.foundation.database import Session, take_farm, take_tenant
from memoryd.foundation.errors import MemorydError, NotAcceptable
from memoryd.foundation.ids import GroupId, JobId
from memoryd.reproduction.variants.changing import NoSeed
from memoryd.storage.blob_store import blob_store
from memoryd.submission.facts import Submission
from memoryd.submission.graph_needs import read_prompt
from memoryd.submission.grouping.asking import submit_each
from memoryd.submission.grouping.items import Axis
from memoryd.submission.seed_inputs import find_seed_input, fresh_seeds
from memoryd.submission.submitting import TEXT_LIMIT, TextTooLarge, submit
from memoryd.web.rendering import page

router = APIRouter()

SEEDS_LIMIT = 200
"""Seeds that one wish from a page asks for; a table of more is a group of its own."""

EMPTY: Mapping[str, Any] = MappingProxyType(
    {
        "graph": "",
        "name": "",
        "pool": DEFAULT_POOL,
        "urgency": Urgency.STANDARD.value,
        "project": projects.DEFAULT_PROJECT,
        "seeds": 0,
        "seed_input": "",
        "unchecked": False,
    }
)
"""What the form begins with."""


class NoGraph(NotAcceptable):
    """No graph was sent."""


@router.get("/queue/new")
def ask(request: Request, work: Reader) -> Response:
    """The form that asks for a job."""
    return _form(request, work.session, work.caller, EMPTY)


@router.post("/queue/new")
def submit_graph(
    request: Request,
    caller: SubmitterCaller,
    office: Office,
    file: UploadFile | None = None,
    graph: Annotated[str, Form(max_length=TEXT_LIMIT)] = "",
    name: Annotated[str, Form(max_length=200)] = "",
    pool: Annotated[str, Form(max_length=100)] = DEFAULT_POOL,
    urgency: Annotated[Urgency, Form()] = Urgency.STANDARD,
    project: Annotated[str, Form(max_length=200)] = projects.DEFAULT_PROJECT,
    seeds: Annotated[int, Form(ge=0, le=SEEDS_LIMIT)] = 0,
    seed_input: Annotated[str, Form(max_length=400)] = "",
    unchecked: Annotated[bool, Form()] = False,
) -> Response:
    """Queue a graph as it is, or once for each of some fresh seeds; where it is refused, say why beside the form."""
    asked: dict[str, Any] = {"graph": graph, "name": name, "pool": pool, "urgency": urgency.value, "project": project}
    asked |= {"seeds": seeds, "seed_input": seed_input, "unchecked": unchecked}
    try:
        text = _text(file) or graph
        if not text.strip():
            raise NoGraph("neither a file nor a text", hint="in ComfyUI choose Workflow > Export (API)")
        asked["graph"] = text
        wish = Submission(
            prompt=text, project=project, name=name.strip() or None, pool=pool, urgency=urgency, unchecked=unchecked
        )
        made = _submit(office, caller, wish, seeds, seed_input.strip())
    except MemorydError as error:
        if error.status >= 500:
            raise
        with office.database.tenant_work(caller.tenant) as session:
            return _form(request, session, caller, asked, refusal=error)
    return RedirectResponse(made, status_code=303)


def _submit(office: Offices, caller: Caller, wish: Submission, seeds: int, seed_input: str) -> str:
    store = blob_store(office.store)
    if seeds == 0:
        with office.database.tenant_work(caller.tenant) as session:
            scope = caller.tenant
            done = submit(session, wish, scope=scope, caller=caller, store=store, database=office.database)
        return _place(done.job_id, group=False)
    document = read_prompt(wish.prompt).document
    where = seed_input or find_seed_input(document)
    if where is None:
        raise NoSeed(f"{len(document)} nodes", hint="name the input that varies, such as 3.seed, or ask for no seeds")
    axis = Axis(input=where, values=fresh_seeds(seeds))
    made = submit_each(office.database, wish, axis, scope=caller.tenant, caller=caller, store=store)
    return _place(made, group=seeds > 1)


def _place(made: JobId | GroupId, *, group: bool) -> str:
    return f"/queue/{'groups' if group else 'jobs'}/{made}"


def _text(file: UploadFile | None) -> str:
    if file is None or not file.filename:
        return ""
    raw = file.file.read(TEXT_LIMIT + 1)
    if len(raw) > TEXT_LIMIT:
        raise TextTooLarge(
            f"a file of more than {TEXT_LIMIT} bytes (TEXT_LIMIT)", hint="send a graph, not its pictures"
        )
    return raw.decode("utf-8", "replace")


def _form(
    request: Request,
    session: Session,
    caller: Caller,
    asked: Mapping[str, Any],
    *,
    refusal: MemorydError | None = None,
) -> Response:
    owners = [one.slug for one in projects.list_projects(session, caller.sees) if one.archived_at is None]
    take_farm(session)
    usable = [pool.name for pool in pools.list_pools(session, tenant_id=caller.tenant.id)]
    take_tenant(session, caller.tenant)
    return page(
        request,
        "submit.html",
        status=refusal.status if refusal is not None else 200,
        caller=caller,
        asked=asked,
        projects=owners,
        pools=usable,
        urgencies=[one.value for one in Urgency],
        seeds_limit=SEEDS_LIMIT,
        refusal=refusal,
        errors=list(_errors(refusal)) if refusal is not None else [],
    )


def _errors(refusal: MemorydError) -> Iterator[dict[str, str]]:
    """Yield what ComfyUI would say of each node, in its words."""
    nodes = refusal.facts.get("node_errors")
    for node_id, node in nodes.items() if isinstance(nodes, dict) else ():
        for error in node.get("errors", ()) if isinstance(node, dict) else ():
            if isinstance(error, dict):
                extra = error.get("extra_info")
                yield {
                    "node": str(node_id),
                    "class_type": str(node.get("class_type")),
                    "input": str(extra.get("input_name") or "") if isinstance(extra, dict) else "",
                    "message": str(error.get("message")),
                    "details": str(error.get("details") or ""),
                }
