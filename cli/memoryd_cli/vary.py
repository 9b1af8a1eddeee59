"""`vary`, `enlarge`: new pictures of an asset's recipe, and the same picture larger."""

from __future__ import annotations

import re
import shlex
import sys
import time
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from memoryd.foundation.errors import NotAcceptable, Unavailable
from memoryd_cli.client import Client, server
from memoryd_cli.groups import follow_to_end as follow_group
from memoryd_cli.groups import say_group
from memoryd_cli.jobs import EXIT_CODES, duration, follow, say_job
from memoryd_cli.output import as_json, say, table
from memoryd_cli.search import Ref, asset_of, at
from memoryd_cli.submit import axis_values, read_graph, read_text

LOOK_EVERY_S = 0.25
ITEMS_SHOWN = 50
"""Items that a dry run prints as a table; --json prints what the server lists."""
VALUE_WIDTH = 60
NOT_ATTEMPTED_EXIT_CODE = 12
_NAMES = "seed|noise_seed|steps|cfg|sampler|sampler_name|scheduler|denoise|width|height|model|lora|lora_strength|vae"
_NEXT = re.compile(rf",\s*(?=(?:{_NAMES}|[^\s,=.]+\.[^\s,=]+)=)")
"""Where one `--set` goes on with another name: a comma inside of a text is none of these."""
_COLOUR = re.compile(r"#?([0-9a-fA-F]{6})")


class BadSetting(NotAcceptable):
    """A setting is named as `NAME=VALUE`."""


class BadEnlargement(NotAcceptable):
    """It must be said how to enlarge."""


class NotConfirmed(NotAcceptable):
    """So many runs are queued only when somebody says so."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(vary)
    app.command()(enlarge)


def vary(
    asset: Ref,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help='What differs: seed=7,cfg=5 or "prompt=a fox, at dawn"; @FILE reads a text; repeatable.'
        ),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            help="Several values of one name: cfg=5,7,9 or cfg=5..8..0.5 or seed=random:20 or prompt=@lines.txt; "
            "repeatable: every combination."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="So many fresh seeds for each combination.")] = 0,
    names: Annotated[
        bool, typer.Option("--names", help="List the names that can be set, and what they are now.")
    ] = False,
    pool: Annotated[str, typer.Option(help="Pool whose workers run it.")] = "default",
    urgency: Annotated[str, typer.Option(help="realtime, standard or batch.")] = "standard",
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key: sent again, it is the same.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the items and what they cost; queue nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before many runs are queued.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end.")] = False,
    json_wanted: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run an asset's recipe again with other values: new pictures, which lead back to this one.

    Names are those that `memoryd show` tells (`--names` lists them), or an input by its node: 3.cfg.
    """
    client = server()
    where = at(asset_of(asset))
    if names:
        _say_names(client.get(f"{where}/parameters"), json_wanted=json_wanted)
        return
    asked: dict[str, Any] = {
        "set": _settings(sets or []),
        "grid": [_axis(one) for one in grid or []],
        "seeds": seeds,
        "pool": pool,
        "urgency": urgency,
        "name": name,
        # The same key for the look and for the wish: the seeds that were shown are those that run.
        "key": key or str(uuid.uuid4()),
    }
    seen = client.post(f"{where}/variations", json={**asked, "dry_run": True})
    if dry_run:
        as_json(seen) if json_wanted else _say_items(seen)
        return
    if seen["large"] and not yes:
        _confirm(seen)
    try:
        made = client.post(f"{where}/variations", json=asked)
    except Unavailable as error:
        error.hint = f"send it again with --key {asked['key']}: what is there already is not doubled"
        raise
    if not json_wanted:
        said = f"job {made['job_id']}" if made["job_id"] else f"group {made['group_id']}"
        say(f"{said}: {_cost(made)}")
        for note in made["notes"]:
            say(f"  {note}")
    _follow(client, made, wait=wait, json_wanted=json_wanted)


def _follow(client: Client, made: dict[str, Any], *, wait: bool, json_wanted: bool) -> None:
    if not wait:
        if json_wanted:
            as_json(made)
        else:
            part = f"jobs watch {made['job_id']}" if made["job_id"] else f"groups watch {made['group_id']}"
            say(f"Next: memoryd {part}")
        return
    if made["job_id"]:
        shown = follow(client, made["job_id"], quiet=json_wanted)
        as_json(shown) if json_wanted else say_job(shown)
        raise typer.Exit(EXIT_CODES.get(shown["state"], 1))
    shown = follow_group(client, made["group_id"], quiet=json_wanted)
    as_json(shown) if json_wanted else say_group(shown)
    raise typer.Exit(EXIT_CODES["dead"] if shown["missing"] else 0)


def _settings(spelled: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in spelled:
        for part in _NEXT.split(one):
            name, separator, value = part.partition("=")
            if not separator or not name.strip():
                raise BadSetting(f"{part[:80]!r}", hint='such as --set seed=7,cfg=5 or --set "prompt=a fox, at dawn"')
            if name.strip() in found:
                raise BadSetting(f"{name.strip()[:80]!r} is set twice", hint="several values are a --grid")
            found[name.strip()] = read_text(Path(value[1:])) if value.startswith("@") else value
    return found


def _axis(spelled: str) -> dict[str, Any]:
    name, separator, values = spelled.partition("=")
    if not separator or not name.strip() or not values:
        raise BadSetting(f"{spelled[:80]!r}", hint="such as --grid cfg=5,7,9")
    return {"name": name.strip(), "values": axis_values(values)}


def _confirm(seen: dict[str, Any]) -> None:
    if not sys.stdin.isatty():
        raise NotConfirmed(_cost(seen), hint="--yes queues them; --dry-run shows what they are")
    say(_cost(seen))
    typer.confirm("Queue them?", abort=True)


def _cost(seen: dict[str, Any]) -> str:
    ends = seen["ends"]
    when = "when it would be done cannot be told" if ends is None else f"done in about {duration(ends['p50_s'])}"
    runs = "1 run" if seen["total"] == 1 else f"{seen['total']} runs"
    return f"{runs}, {duration(seen['cost_s'])} of work, {when}"


def _say_items(seen: dict[str, Any]) -> None:
    columns = list(seen["items"][0])
    shown = seen["items"][:ITEMS_SHOWN]
    rows = [[number, *(str(value)[:VALUE_WIDTH] for value in item.values())] for number, item in enumerate(shown, 1)]
    table(["item", *columns], rows)
    if seen["total"] > len(shown):
        say(f"and {seen['total'] - len(shown)} more")
    say(f"{_cost(seen)}; nothing was queued")
    for note in seen["notes"]:
        say(f"  {note}")


def _say_names(found: dict[str, Any], *, json_wanted: bool) -> None:
    if json_wanted:
        as_json(found)
        return
    rows = [[one["name"], one["place"], str(one["value"])[:VALUE_WIDTH]] for one in found["items"]]
    table(["name", "place", "now"], rows)
    if not rows:
        say("No parameter of its graph is known by name; any input can be set by its node: --set 3.cfg=5")


def enlarge(
    asset: Ref,
    to: Annotated[str, typer.Option(help="3840x2160, 4k, 8k, or a factor such as 2x.")] = "",
    by: Annotated[
        str,
        typer.Option(help="lanczos, bicubic, bilinear, area, nearest-exact, or model: an upscale model of the pool."),
    ] = "lanczos",
    model: Annotated[str | None, typer.Option(help="Which upscale model; without it the pool's first.")] = None,
    graph: Annotated[
        Path | None, typer.Option(help="A graph of your own (API format) that takes the original.")
    ] = None,
    place: Annotated[
        str | None, typer.Option("--input", help="The input of that graph that takes it: 10.image.")
    ] = None,
    crop: Annotated[bool, typer.Option("--crop", help="Another shape: cut off what stands over.")] = False,
    pad: Annotated[str | None, typer.Option(help="Another shape: borders of this colour, such as #000000.")] = None,
    render: Annotated[bool, typer.Option("--render", help="Enlarge it also where a larger copy is known.")] = False,
    pool: Annotated[str, typer.Option(help="Pool whose workers run it.")] = "default",
    urgency: Annotated[str, typer.Option(help="realtime, standard or batch.")] = "standard",
    listed: Annotated[bool, typer.Option("--list", help="List what was enlarged of it before.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for it, and for how far it is from the original.")] = False,
    json_wanted: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The same picture, larger: a larger copy that is known, else an upscale of the original, compared with it.

    Exit codes with --wait: 0 enlarged or known, 12 not attempted.
    """
    if not listed:
        _check_enlargement(to, by=by, model=model, place=place, graph=graph)
    colour = _colour(pad) if pad is not None else None
    client = server()
    where = at(asset_of(asset), "enlargements")
    if listed:
        _list_enlargements(client.get(where), json_wanted=json_wanted)
        return
    answer = client.post(
        where,
        json={
            "to": to,
            "by": by,
            "model": model,
            "graph": read_graph(graph) if graph is not None else None,
            "input": place,
            "crop": crop,
            "pad": colour,
            "render": render,
            "pool": pool,
            "urgency": urgency,
            "key": str(uuid.uuid4()),
        },
    )
    begun = answer["enlargement"]
    if wait:
        while begun is not None and begun["state"] != "decided":
            time.sleep(LOOK_EVERY_S)
            begun = client.get(f"/enlargements/{begun['id']}")
        answer["enlargement"] = begun
    if json_wanted:
        as_json(answer)
    else:
        _say_answer(answer, named=str(asset))
    if wait and begun is not None and begun["outcome"] == "not attempted":
        raise typer.Exit(NOT_ATTEMPTED_EXIT_CODE)


def _check_enlargement(to: str, *, by: str, model: str | None, place: str | None, graph: Path | None) -> None:
    if not to:
        raise BadEnlargement("no size", hint="--to 3840x2160, --to 4k or --to 2x")
    if model is not None and by != "model":
        raise BadEnlargement(f"--model with --by {by}, which takes none", hint=f"--by model --model {model}")
    if place is not None and graph is None:
        raise BadEnlargement("--input names an input of no graph", hint=f"--graph FILE --input {place}")


def _say_answer(answer: dict[str, Any], *, named: str) -> None:
    if answer["larger"]:
        say("larger and known:")
        table(
            ["asset", "size", "how it is related", ""],
            [
                [
                    one["sha256"][:12],
                    f"{one['width']}x{one['height']}",
                    one["relation"],
                    "" if one["reaches"] else "smaller than asked for",
                ]
                for one in answer["larger"]
            ],
        )
    begun = answer["enlargement"]
    if begun is not None:
        _say_enlargement(begun, named=named)
    for note in answer["notes"]:
        say(f"  {note}")
    if begun is None:
        say("Next: memoryd show ASSET tells where it lies; --render enlarges anew all the same")


def _say_enlargement(begun: dict[str, Any], *, named: str) -> None:
    if begun["outcome"] is None:
        say(f"job {begun['job_id']} enlarges it; `memoryd jobs watch {begun['job_id']}` follows it")
        say(f"Next: memoryd enlarge {shlex.quote(named)} --list tells how far it is from the original")
        return
    say(f"{begun['outcome']}{': asset ' + begun['made_asset_id'] if begun['made_asset_id'] else ''}")
    if begun["measures"]:
        say(f"  {_measured(begun['measures'])}")
    for cause in begun["causes"]:
        say(f"  {cause['code']}: {cause['detail']}")
        if cause["next_step"]:
            say(f"  Next: {cause['next_step']}")


def _measured(measures: dict[str, Any]) -> str:
    size = f"{measures['width']}x{measures['height']}" if "width" in measures else "size unknown"
    if not measures.get("comparable"):
        return f"{size}; not compared"
    if measures["psnr"] is None:
        return f"{size}; scaled back it is the original, pixel for pixel"
    ssim = f", SSIM {measures['ssim']:.4f}" if measures.get("ssim") is not None else ""
    return f"{size}; scaled back, {measures['psnr']:.1f} dB from the original{ssim}"


def _list_enlargements(found: dict[str, Any], *, json_wanted: bool) -> None:
    if json_wanted:
        as_json(found)
        return
    rows = [
        [
            one["asked_at"][:16].replace("T", " "),
            "x".join(str(side) for side in one["plan"]["to"]),
            one["plan"]["model"] or one["plan"]["method"],
            one["outcome"] or one["state"],
            _measured(one["measures"]) if one["measures"] else "",
            one["made_asset_id"] or one["job_id"],
        ]
        for one in found["items"]
    ]
    table(["asked", "to", "by", "outcome", "measured", "asset or job"], rows)


def _colour(spelled: str) -> str:
    found = _COLOUR.fullmatch(spelled.strip())
    if found is None:
        raise BadEnlargement(f"{spelled[:40]!r} is no colour", hint="such as --pad '#000000'")
    return f"#{found[1]}"
