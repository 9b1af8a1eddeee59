"""The commands' way to a server: what it refuses is said in words of the command, and what is no name asks for nothing."""

from __future__ import annotations

import io

import httpx
import pytest

from memoryd.foundation.errors import NotAcceptable
from memoryd_cli.client import Client, NotAName


def _answering(status: int, body: object) -> Client:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=body))
    return Client("http://127.0.0.1:1", None, transport=transport)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("query.state: Input should be 'ready' or 'dead'", "state: Input should be 'ready' or 'dead'"),
        ("body.urgency: Input should be 'batch'", "urgency: Input should be 'batch'"),
        ("path.job_id: is no id", "job_id: is no id"),
    ],
)
def test_what_a_request_lacks_is_said_in_words_of_the_command(said: str, shown: str) -> None:
    body = {"type": "about:memoryd#invalid-input", "title": "This input cannot be used.", "detail": said}
    with pytest.raises(NotAcceptable) as refused:
        _answering(422, {**body, "hint": "see /docs for what this address takes"}).get("/jobs")
    assert refused.value.detail == shown
    assert "--help" in str(refused.value.hint)
    assert "/docs" not in str(refused.value.hint)


def test_a_refusal_of_a_room_keeps_its_words() -> None:
    body = {"type": "about:memoryd#bad-axis", "title": "No.", "detail": "query.x: y", "hint": "do that"}
    with pytest.raises(NotAcceptable) as refused:
        _answering(422, body).get("/jobs")
    assert (refused.value.detail, refused.value.hint) == ("query.x: y", "do that")


@pytest.mark.parametrize("path", ["/environments/", "/assets//plan", "/pools/.", "/x/../y", "/x/a?b", "/x/a#b"])
def test_what_cannot_be_a_name_is_refused_before_another_address_is_asked(path: str) -> None:
    client = _answering(200, {"items": []})
    with pytest.raises(NotAName):
        client.get(path)
    with pytest.raises(NotAName):
        client.download(path, io.BytesIO())
