"""`pools`, `caps`, and the pause of a project: where jobs may run, and how many at once."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from memoryd.foundation.canonical_json import NotJson, read_json
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.settings import Settings
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="Name of the pool.")]
Vram = Annotated[int | None, typer.Option(help="Memory of its smallest card, in MiB.")]
Region = Annotated[str | None, typer.Option(help="Where its machines stand; a project may be bound to regions.")]
LicenceServer = Annotated[str | None, typer.Option(help="The licence server that its machines use.")]
Label = Annotated[list[str] | None, typer.Option(help="name=value; may be given several times, and replaces all.")]
Rank = Annotated[int | None, typer.Option(help="A worker of several pools tries the one of the greatest rank first.")]
MaxRun = Annotated[float | None, typer.Option(help="Seconds after which a run is given up.")]
NoProgress = Annotated[float | None, typer.Option(help="Seconds without progress after which a run is given up.")]
WarmUp = Annotated[float | None, typer.Option(help="Seconds that loading a model takes on its workers.")]
WarmUpGraph = Annotated[
    str | None, typer.Option(help="File with a graph (API format) that workers run before they claim; '' for none.")
]
_SAID = {
    "vram_mb": ("memory of its smallest card", "MiB"),
    "region": ("region", ""),
    "licence_server": ("licence server", ""),
    "rank": ("rank", ""),
    "max_run_time_s": ("a run is given up after", "s"),
    "no_progress_limit_s": ("a run without progress is given up after", "s"),
    "warm_up_s": ("loading a model takes", "s"),
    "paused_at": ("paused since", ""),
    "backs_off_until": ("backs off after failures until", ""),
}
"""What a pool tells, in the order and the words in which it is shown."""

Project = Annotated[str | None, typer.Option(help="Only jobs of this project (its slug).")]


class BadLabel(NotAcceptable):
    """This is no label."""


class NoGraph(NotAcceptable):
    """This file holds no graph."""


def register(app: typer.Typer) -> None:
    """Add the commands about pools and caps."""
    pools = typer.Typer(no_args_is_help=True, help="Named sets of workers that are alike.")
    pools.command("add")(add_pool)
    pools.command("list")(list_pools)
    pools.command("show")(show_pool)
    pools.command("edit")(edit_pool)
    pools.command("pause")(pause_pool)
    pools.command("resume")(resume_pool)
    app.add_typer(pools, name="pools")
    caps = typer.Typer(no_args_is_help=True, help="How many jobs of a scope run at once at most.")
    caps.command("list")(list_caps)
    caps.command("set")(set_cap)
    caps.command("remove")(remove_cap)
    app.add_typer(caps, name="caps")


def register_on_projects(projects: typer.Typer) -> None:
    """Add what the queue knows of projects to the commands about them."""
    projects.command("pause")(pause_project)
    projects.command("resume")(resume_project)
    projects.command("weigh")(weigh_project)


def register_on_tenants(tenants: typer.Typer) -> None:
    """Add what the queue knows of tenants to the commands about them."""
    tenants.command("weigh")(weigh_tenant)


def add_pool(
    name: Annotated[str, typer.Argument(help="Short name: small letters, digits, hyphens.")],
    vram: Vram = None,
    region: Region = None,
    licence_server: LicenceServer = None,
    label: Label = None,
    rank: Rank = None,
    max_run: MaxRun = None,
    no_progress: NoProgress = None,
    warm_up: WarmUp = None,
    warm_up_graph: WarmUpGraph = None,
) -> None:
    """Make a pool for this studio's jobs."""
    about = _about(vram, region, licence_server, label, rank, max_run, no_progress, warm_up, warm_up_graph)
    made = server().post("/pools", json={"name": name, **about})
    say(f"pool {made['name']}")
    say(f"Next: memoryd workers add --pool {made['name']}")


def edit_pool(
    name: Name,
    vram: Vram = None,
    region: Region = None,
    licence_server: LicenceServer = None,
    label: Label = None,
    rank: Rank = None,
    max_run: MaxRun = None,
    no_progress: NoProgress = None,
    warm_up: WarmUp = None,
    warm_up_graph: WarmUpGraph = None,
) -> None:
    """Change what is given of a pool; the rest stays."""
    about = _about(vram, region, licence_server, label, rank, max_run, no_progress, warm_up, warm_up_graph)
    _tell(server().patch(f"/pools/{quote(name, safe='')}", json=about))


def list_pools(json: AsJson = False) -> None:
    """List the pools that jobs may name."""
    answer = server().get("/pools")
    if json:
        as_json(answer)
        return
    table(
        ["name", "state", "shared", "rank", "memory MiB", "region", "warm-up s", "longest run s"],
        (
            (
                one["name"],
                _state(one),
                "yes" if one["shared"] else "no",
                one["rank"],
                one["vram_mb"],
                one["region"],
                one["warm_up_s"],
                one["max_run_time_s"],
            )
            for one in answer["items"]
        ),
    )


def show_pool(name: Name, json: AsJson = False) -> None:
    """Show one pool."""
    found = server().get(f"/pools/{quote(name, safe='')}")
    if json:
        as_json(found)
        return
    _tell(found)


def pause_pool(name: Name) -> None:
    """Let nothing be claimed from a pool; what runs goes on."""
    pool = server().post(f"/pools/{quote(name, safe='')}/pause")
    say(f"pool {pool['name']} is paused: nothing is claimed from it, what runs goes on")
    say(f"Next: memoryd pools resume {shlex.quote(pool['name'])}")


def resume_pool(name: Name) -> None:
    """Let a pool be claimed from again, also one that backs off after failures."""
    pool = server().post(f"/pools/{quote(name, safe='')}/resume")
    say(f"pool {pool['name']}: {_state(pool)}")


def list_caps(json: AsJson = False) -> None:
    """List the caps that count this studio's jobs."""
    answer = server().get("/caps")
    if json:
        as_json(answer)
        return
    table(
        ["id", "counts", "project", "person", "pool", "at once", "running now"],
        (
            (
                one["id"],
                "everybody" if one["everybody"] else "this studio",
                one["project"],
                one["person"],
                one["pool"],
                one["max_running"],
                one["running"],
            )
            for one in answer["items"]
        ),
    )


def set_cap(
    at_once: Annotated[int, typer.Argument(help="How many jobs run at once at most; 0 holds all of them back.")],
    project: Project = None,
    person: Annotated[str | None, typer.Option(help="Only jobs of this person (a login).")] = None,
    pool: Annotated[str | None, typer.Option(help="Only jobs in this pool.")] = None,
) -> None:
    """Let at most so many jobs of a scope run at once: of the whole studio, or of what the options name together."""
    made = server().put("/caps", json={"max_running": at_once, "project": project, "person": person, "pool": pool})
    say(f"cap {made['id']}: at most {made['max_running']} at once, {made['running']} now")


def remove_cap(cap: Annotated[str, typer.Argument(help="Id of the cap; `memoryd caps list` shows it.")]) -> None:
    """Forget a cap."""
    server().delete(f"/caps/{quote(cap, safe='')}")
    say(f"cap {cap} is gone; what it held back goes on")


def pause_project(project: Annotated[str, typer.Argument(help="Slug of the project.")]) -> None:
    """Let a project's jobs wait; what runs goes on."""
    answer = server().post(f"/projects/{quote(project, safe='')}/pause")
    say(f"project {project} {'is paused' if answer['changed'] else 'was paused already'}")


def resume_project(project: Annotated[str, typer.Argument(help="Slug of the project.")]) -> None:
    """Let a project's jobs go on."""
    answer = server().post(f"/projects/{quote(project, safe='')}/resume")
    say(f"project {project} {'goes on' if answer['changed'] else 'was not paused'}")


def weigh_project(
    project: Annotated[str, typer.Argument(help="Slug of the project.")],
    weight: Annotated[float, typer.Argument(help="Against the 1 of the others: 2 gets twice as much.")],
) -> None:
    """Set how much of the studio's share of the GPUs a project gets, for jobs that come from now on."""
    server().put(f"/projects/{quote(project, safe='')}/weight", json={"weight": weight})
    say(f"project {project} has weight {weight:g}")


def weigh_tenant(
    slug: Annotated[str, typer.Argument(help="Slug of the tenant.")],
    weight: Annotated[float, typer.Argument(help="Against the 1 of the others: 2 gets twice as much.")],
) -> None:
    """Set how much of the shared pools a tenant gets, for jobs that come from now on. Runs on the server's machine."""
    from memoryd.access import directory
    from memoryd.app.connecting import server_database
    from memoryd.dispatch import weights

    database = server_database(Settings())
    try:
        with database.farm_work() as session:
            weights.weigh_tenant(session, directory.find_tenant(session, slug).id, weight)
    finally:
        database.close()
    say(f"tenant {slug} has weight {weight:g}")


def _about(
    vram: int | None,
    region: str | None,
    licence_server: str | None,
    label: list[str] | None,
    rank: int | None,
    max_run: float | None,
    no_progress: float | None,
    warm_up: float | None,
    warm_up_graph: str | None,
) -> dict[str, Any]:
    about = {
        "vram_mb": vram,
        "region": region,
        "licence_server": licence_server,
        "labels": _labels(label) if label is not None else None,
        "rank": rank,
        "max_run_time_s": max_run,
        "no_progress_limit_s": no_progress,
        "warm_up_s": warm_up,
        "warm_up": _graph(warm_up_graph) if warm_up_graph is not None else None,
    }
    return {name: value for name, value in about.items() if value is not None}


def _labels(given: list[str]) -> dict[str, str]:
    labels = {}
    for one in given:
        name, mark, value = one.partition("=")
        if not mark or not name:
            raise BadLabel(f"{one[:80]!r}", hint="write name=value, as in --label card=4090")
        labels[name] = value
    return labels


def _graph(path: str) -> dict[str, Any]:
    if not path:
        return {}
    try:
        graph = read_json(Path(path).read_bytes())
    except (OSError, NotJson) as error:
        raise NoGraph(f"{path}: {error}", hint="export one from ComfyUI with Export (API)") from None
    if not isinstance(graph, dict):
        raise NoGraph(path, hint="export one from ComfyUI with Export (API)")
    return graph


def _state(pool: dict[str, Any]) -> str:
    if pool["paused_at"]:
        return "paused"
    return "backing off" if pool["backs_off_until"] else "open"


def _tell(pool: dict[str, Any]) -> None:
    say(f"pool {pool['name']}: {_state(pool)}")
    say(f"  {'shared with every studio here' if pool['shared'] else 'of this studio alone'}")
    for name, (said, unit) in _SAID.items():
        value = pool.get(name)
        if value is not None:
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            say(f"  {said}: {shown}{' ' + unit if unit else ''}")
    for name, value in (pool.get("labels") or {}).items():
        say(f"  label {name}={value}")
    if pool.get("has_warm_up"):
        say("  workers run a warm-up graph before they claim")
