"""From any file to its original: copies are found, siblings never taken silently, and nobody is told what they may not see."""

from __future__ import annotations

import hashlib
import io
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from sqlalchemy import text

from memoryd.access.facts import Role
from memoryd.reproduction.from_file import reading
from tests.reproduction.painting import comfy_png, painted
from tests.reproduction.studio import Studio, studio

__all__ = ["studio"]

Ask = Callable[[bytes], dict[str, Any]]


@pytest.fixture
def ask(studio: Studio) -> Iterator[Ask]:
    """What the server says of a file's bytes."""
    with studio.speaking() as client:
        own = studio.key(Role.VIEWER)

        def asked(content: bytes) -> dict[str, Any]:
            answer = client.post("/v1/assets/identify", files={"file": ("client.bin", content)}, headers=own)
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found

        yield asked


def encoded(picture: Image.Image, kind: str = "JPEG", **more: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **more)
    return out.getvalue()


def one(studio: Studio, name: str, picture: bytes, project: str = "default") -> str:
    (studio.folder / name).write_bytes(picture)
    studio.record(name, project=project)
    return hashlib.sha256(picture).hexdigest()


MUTATIONS: dict[str, Callable[[Image.Image], bytes]] = {
    "stripped": lambda p: encoded(p, "PNG"),
    "jpeg of quality 20": lambda p: encoded(p, quality=20),
    "half the size": lambda p: encoded(p.resize((p.width // 2, p.height // 2), Image.Resampling.LANCZOS), quality=80),
    "a quarter, quality 20": lambda p: encoded(p.resize((p.width // 4, p.height // 4)), quality=20),
    "twice the size": lambda p: encoded(p.resize((p.width * 2, p.height * 2), Image.Resampling.BICUBIC), "WEBP"),
    "mirrored": lambda p: encoded(ImageOps.mirror(p), "PNG"),
    "mirrored and encoded anew": lambda p: encoded(ImageOps.mirror(p), quality=20),
}


@pytest.mark.parametrize("how", MUTATIONS)
def test_a_copy_is_found_and_never_passed_off_as_the_original(studio: Studio, ask: Ask, how: str) -> None:
    picture = painted(1)
    sha256 = one(studio, "fox.png", comfy_png(picture, seed=1))
    for seed in range(2, 6):
        one(studio, f"other_{seed}.png", comfy_png(painted(seed), seed=seed))
    studio.do_chores()
    found = ask(MUTATIONS[how](picture))
    # Of 876 bytes that are left of a picture nobody is sure.
    assert found["standing"] == ("choose" if how == "a quarter, quality 20" else "recognised"), found
    [candidate] = found["candidates"]
    assert candidate["sha256"] == sha256
    assert candidate["exact"] is False
    assert "its bytes are not the original's" in candidate["how"]
    assert candidate["by"] == ("pixel digest" if how == "stripped" else "fingerprint")
    assert candidate["mirrored"] is how.startswith("mirrored")
    assert candidate["held"] == "verified"
    assert candidate["name"] == "fox.png"


def test_the_original_s_own_bytes_are_the_original(studio: Studio, ask: Ask) -> None:
    content = comfy_png(painted(1), seed=1)
    sha256 = one(studio, "fox.png", content)
    found = ask(content)
    assert found["standing"] == "exact"
    assert [(each["sha256"], each["exact"], each["by"]) for each in found["candidates"]] == [
        (sha256, True, "file hash")
    ]


def test_an_unrelated_picture_is_unknown_and_so_is_what_is_no_picture(studio: Studio, ask: Ask) -> None:
    for seed in range(6):
        one(studio, f"{seed}.png", comfy_png(painted(seed), seed=seed))
    studio.do_chores()
    strange = ask(encoded(painted(77)))
    assert (strange["standing"], strange["candidates"], strange["holds_graph"]) == ("unknown", [], False)
    graph = ask(comfy_png(painted(78), seed=78))
    assert (graph["standing"], graph["holds_graph"]) == ("unknown", True)
    for junk in (b"", b"x", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, random.Random(1).randbytes(5_000)):
        assert ask(junk)["standing"] == "unknown"


@pytest.mark.parametrize("quality", [20, 60, 95])
@pytest.mark.parametrize("amount", [0.0, 4.0, 30.0])
def test_a_sibling_of_a_batch_is_never_taken_silently(studio: Studio, ask: Ask, amount: float, quality: int) -> None:
    batch = [painted(1, wobble=(place, amount)) for place in range(4)]
    digests = [
        one(studio, f"fox_{place}.png", comfy_png(picture, seed=1, batch=4)) for place, picture in enumerate(batch)
    ]
    studio.do_chores()
    found = ask(encoded(batch[2], quality=quality))
    listed = {each["sha256"] for each in found["candidates"]}
    assert digests[2] in listed
    if found["standing"] == "recognised":
        assert listed == {digests[2]}
    else:
        assert found["standing"] == "choose"
        assert found["candidates"][0]["doubts"]
        assert "lies at" in found["apart"]


def test_the_only_known_picture_of_a_batch_is_not_taken_for_its_sibling(studio: Studio, ask: Ask) -> None:
    first, second = (painted(1, wobble=(place, 4.0)) for place in range(2))
    one(studio, "fox_0.png", comfy_png(first, seed=1, batch=4))
    studio.do_chores()
    found = ask(encoded(second, quality=90))
    assert found["standing"] == "choose"
    assert any("may be one of those" in doubt for doubt in found["candidates"][0]["doubts"])


def test_a_near_variant_makes_a_person_choose(studio: Studio, ask: Ask) -> None:
    first, second = painted(1), painted(1, wobble=(5, 2.0))
    one(studio, "fox.png", comfy_png(first, seed=1))
    one(studio, "variant.png", comfy_png(second, seed=2))
    studio.do_chores()
    found = ask(encoded(first, quality=30))
    assert found["standing"] == "choose"
    assert len(found["candidates"]) == 2
    assert {"seed", "lies at"} <= set(found["apart"])
    # Its own text says which of the two it was.
    told = PngInfo()
    source = Image.open(io.BytesIO(comfy_png(first, seed=1)))
    told.add_text("prompt", source.info["prompt"])
    smaller = first.resize((first.width // 2, first.height // 2), Image.Resampling.LANCZOS)
    told_of = ask(encoded(smaller, "PNG", pnginfo=told))
    assert told_of["standing"] == "recognised", told_of
    assert told_of["candidates"][0]["named_by_text"] is True


def test_a_text_alone_proves_nothing(studio: Studio, ask: Ask) -> None:
    one(studio, "fox.png", comfy_png(painted(1), seed=1))
    studio.do_chores()
    found = ask(comfy_png(painted(50), seed=1))
    assert found["standing"] == "choose"
    assert found["candidates"][0]["by"] == "text in the file"


def test_equal_pixels_of_two_pictures_are_not_told_apart_by_luck(studio: Studio, ask: Ask) -> None:
    picture = painted(1)
    one(studio, "a.png", comfy_png(picture, seed=1))
    one(studio, "b.png", comfy_png(picture, seed=2))
    studio.do_chores()
    found = ask(encoded(picture, "PNG"))
    assert found["standing"] == "choose"
    assert [each["by"] for each in found["candidates"]] == ["pixel digest"] * 2


def test_an_original_whose_bytes_are_gone_is_said_to_be(studio: Studio, ask: Ask) -> None:
    one(studio, "fox.png", comfy_png(painted(1), seed=1))
    studio.do_chores()
    (studio.folder / "fox.png").unlink()
    assert ask(encoded(painted(1)))["candidates"][0]["held"] == "missing"
    (studio.folder / "fox.png").write_bytes(comfy_png(painted(1), seed=2))
    assert ask(encoded(painted(1)))["candidates"][0]["held"] == "missing", "other bytes under its name are not it"


def test_a_disclosed_copy_leads_to_its_original(studio: Studio, ask: Ask) -> None:
    sha256 = one(studio, "fox.png", comfy_png(painted(1), seed=1))
    studio.do_chores()
    with studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        made = client.post(f"/v1/assets/{sha256}/disclosures", headers=own)
        assert made.status_code in (200, 201), made.text
        copy = client.get(f"/v1/disclosures/{made.json()['id']}/file", headers=own).content
    found = ask(copy)
    assert found["standing"] == "recognised"
    [candidate] = found["candidates"]
    assert (candidate["sha256"], candidate["exact"]) == (sha256, False)
    assert (candidate["by"], candidate["matched_as"]) == ("file hash", "disclosed")
    again = ask(encoded(Image.open(io.BytesIO(copy)).convert("RGB"), quality=30))
    assert (again["standing"], again["candidates"][0]["sha256"]) == ("recognised", sha256)


def test_strangers_other_tenants_and_other_projects_learn_nothing(studio: Studio) -> None:
    content = comfy_png(painted(1), seed=1)
    one(studio, "fox.png", content, project="film")
    studio.do_chores()
    copies = (content, encoded(painted(1), "PNG"), encoded(painted(1), quality=20), comfy_png(painted(9), seed=1))
    with studio.speaking() as client:
        for copy in copies:
            sent = {"file": ("client.png", copy)}
            assert client.post("/v1/assets/identify", files=sent).status_code == 401
            for headers in (
                studio.key(Role.ADMIN, tenant=studio.other_tenant),
                studio.key(Role.PRODUCER, project="advert"),
            ):
                answer = client.post("/v1/assets/identify", files=sent, headers=headers)
                assert (answer.status_code, answer.json()["candidates"]) == (200, [])
                assert answer.json()["standing"] == "unknown"
            own = client.post("/v1/assets/identify", files=sent, headers=studio.key(Role.VIEWER, project="film"))
            assert len(own.json()["candidates"]) == 1


def test_nothing_of_the_file_is_kept_but_its_hash_in_the_trail(studio: Studio, ask: Ask, tmp_path: Path) -> None:
    content = comfy_png(painted(1), seed=1)
    counted = "select (select count(*) from asset) + (select count(*) from blob) + (select count(*) from document)"
    with studio.offices.database.tenant_work(studio.tenant) as session:
        before = session.execute(text(counted)).scalar_one()
    found = ask(content)
    with studio.offices.database.tenant_work(studio.tenant) as session:
        assert session.execute(text(counted)).scalar_one() == before
        facts = session.execute(text("select subject, facts from audit_pending where action = 'file.identify'")).all()
    assert [row.subject for row in facts] == [f"file:{found['sha256']}"]
    assert "client.bin" not in str(facts)


def test_what_is_too_large_or_too_much_at_once_is_refused_in_words(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    with studio.speaking() as client:
        own = studio.key(Role.VIEWER)
        announced = own | {
            "Content-Length": str(reading.BODY_LIMIT + 1),
            "Content-Type": "multipart/form-data; boundary=x",
        }
        refused = client.post("/v1/assets/identify", content=b"--x--", headers=announced)
        assert (refused.status_code, refused.headers["content-type"]) == (413, "application/problem+json")
        monkeypatch.setattr(reading, "_turns", threading.BoundedSemaphore(1))
        monkeypatch.setattr(reading, "WAIT_S", 0.01)
        with reading._turn():
            busy = client.post("/v1/assets/identify", files={"file": ("a.png", b"x")}, headers=own)
        assert busy.status_code == 503
        assert "ask again" in busy.json()["hint"]
        assert client.post("/v1/assets/identify", files={"file": ("a.png", b"x")}, headers=own).status_code == 200


def test_a_picture_made_to_do_harm_is_unknown_and_says_why(ask: Ask) -> None:
    bomb = encoded(Image.new("1", (10_500, 10_500)), "PNG", compress_level=9)
    found = ask(bomb)
    assert found["standing"] == "unknown"
    assert "too-many-pixels" in [finding["code"] for finding in found["findings"]]
    assert ask(comfy_png(painted(1), seed=1)[:-200])["standing"] == "unknown"
