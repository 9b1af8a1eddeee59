"""`webhooks`: addresses that are told of what happens, signed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from memoryd.foundation.errors import Unavailable
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Webhook = Annotated[str, typer.Argument(help="The webhook's id, as `webhooks list` shows it.")]


class NotTaken(Unavailable):
    """The receiver did not take it."""


def register(app: typer.Typer) -> None:
    """Add the commands about webhooks."""
    hooks = typer.Typer(no_args_is_help=True, help="Addresses that are told of what happens, signed.")
    hooks.command("add")(add)
    hooks.command("list")(list_)
    hooks.command("test")(test)
    hooks.command("deliveries")(deliveries)
    hooks.command("retry")(retry)
    hooks.command("secret")(secret)
    hooks.command("enable")(enable)
    hooks.command("disable")(disable)
    hooks.command("remove")(remove)
    app.add_typer(hooks, name="webhooks")


def add(
    url: Annotated[str, typer.Argument(help="Where events are posted: http(s)://host/path.")],
    kind: Annotated[
        list[str] | None, typer.Option(help="Only these kinds (job.succeeded, job.*, asset.recorded, …); else all.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Tell an address of what happens from now on; prints the secret that proves it."""
    answer = server().post("/webhooks", json={"url": url, "kinds": kind or []})
    if json:
        as_json(answer)
        return
    say(f"webhook {answer['id']}")
    say(f"secret  {answer['secret']}   (shown this once: the receiver checks signatures with it)")
    say(f"Next: memoryd webhooks test {answer['id']}")


def list_(json: AsJson = False) -> None:
    """List the webhooks, and how their deliveries stand."""
    answer = server().get("/webhooks")
    if json:
        as_json(answer)
        return
    table(
        ("id", "address", "kinds", "state", "delivered", "waiting", "given up"),
        [
            (
                *(one["id"], one["url"], " ".join(one["kinds"]) or "all"),
                "off" if one["disabled_at"] else "on",
                *(one["delivered"], one["waiting"], one["failed"]),
            )
            for one in answer["items"]
        ],
    )


def test(webhook: Webhook) -> None:
    """Send a signed trial event now, and say what the receiver answered."""
    answer = server().post(f"/webhooks/{webhook}/test")
    if not answer["taken"]:
        raise NotTaken(answer["detail"], hint="it must answer with 2xx within 10 s; then try again")
    say(f"taken: {answer['detail']} in {answer['took_ms']:.0f} ms")


def deliveries(webhook: Webhook, limit: int = 50, cursor: str | None = None, json: AsJson = False) -> None:
    """Show what was sent to an address, newest first, and what it answered."""
    answer = server().get(f"/webhooks/{webhook}/deliveries", limit=limit, cursor=cursor)
    if json:
        as_json(answer)
        return
    table(
        ("event", "kind", "happened", "tries", "state", "last answer"),
        [
            (one["seq"], one["kind"], one["at"][:19], one["tries"], _state(one), one["last_answer"])
            for one in answer["items"]
        ],
    )
    if answer["next_cursor"]:
        say(f"more: --cursor {answer['next_cursor']}")


def retry(webhook: Webhook, event: Annotated[int, typer.Argument(help="The event's number.")]) -> None:
    """Send an event to an address again."""
    server().post(f"/webhooks/{webhook}/deliveries/{event}/retry")
    say(f"event {event} will be sent again")


def secret(webhook: Webhook) -> None:
    """Give a webhook a fresh secret; the old one signs nothing any more."""
    say(server().post(f"/webhooks/{webhook}/secret")["secret"])


def enable(webhook: Webhook) -> None:
    """Go on telling an address, from where it stopped."""
    server().post(f"/webhooks/{webhook}/enable")
    say(f"webhook {webhook} is on")


def disable(webhook: Webhook) -> None:
    """Tell an address nothing for now; what happens meanwhile is sent when it is enabled again."""
    server().post(f"/webhooks/{webhook}/disable")
    say(f"webhook {webhook} is off")


def remove(webhook: Webhook) -> None:
    """Forget an address and what was to be sent to it."""
    server().delete(f"/webhooks/{webhook}")
    say(f"webhook {webhook} is removed")


def _state(delivery: dict[str, Any]) -> str:
    if delivery["delivered_at"]:
        return "delivered"
    return "given up" if delivery["failed_at"] else f"next try {delivery['next_try_at'][:19]}"
