"""What is found in bundles that somebody changed, or made to do harm; and the commands about them."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from memoryd.access.facts import Role
from memoryd.disclosure import pki
from memoryd.disclosure.pki import Anchors, load_anchors
from memoryd.disclosure.sealing import seal
from memoryd.foundation.canonical_json import canonical_bytes, read_json
from memoryd.foundation.errors import MemorydError
from memoryd.reproduction.bundles import checking
from memoryd.reproduction.bundles.bare import running as bare
from memoryd.reproduction.bundles.bare.engine import Engine
from memoryd.reproduction.bundles.bare.opening import Bundle, NotAttempted
from memoryd.reproduction.bundles.bare.pixels import compare_with_pillow
from memoryd.stand_in.serving import Options, running
from memoryd_cli import bundles
from tests.reproduction.bundles.test_bundles import bundle_of, post
from tests.reproduction.studio import Studio, studio
from tests.reproduction.test_making_again import BASIC, BLEND

__all__ = ["studio"]

Files = dict[str, bytes]


@pytest.fixture
def made(studio: Studio) -> bytes:
    """A bundle of a picture with an input."""
    studio.take_in(BLEND, BASIC)
    return bundle_of(studio, BLEND)


def files_of(content: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: Files, method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def resigned(files: Files, folder: Path, change: Callable[[dict[str, Any]], None]) -> bytes:
    """A bundle with other words in its list, signed by somebody."""
    said = read_json(files["bundle.json"])
    assert isinstance(said, dict)
    change(said)
    manifest = canonical_bytes(said) + b"\n"
    return packed(
        {**files, "bundle.json": manifest, "bundle.sig": seal(manifest, pki.signing_identity(folder / "somebody"))}
    )


def check(content: bytes) -> checking.BundleVerdict:
    return checking.check_bundle(io.BytesIO(content), Anchors())


def test_packed_again_by_another_tool_it_is_still_good(made: bytes) -> None:
    found = check(packed(files_of(made), zipfile.ZIP_DEFLATED))
    assert found.good, found.troubles
    assert found.seal.trusted_by is None


def test_every_change_is_found(made: bytes) -> None:
    files = files_of(made)
    for name in files:
        changed = bytearray(files[name])
        changed[len(changed) // 2] ^= 1
        assert not check(packed({**files, name: bytes(changed)})).good, name
        assert not check(packed({n: c for n, c in files.items() if n != name})).good, name
    assert not check(packed({**files, "more.txt": b""})).good
    assert not check(b"PK\x05\x06" + made[:-40]).good
    assert not check(made[: len(made) // 2]).good
    assert not check(b"").good


@pytest.mark.parametrize(
    "name",
    ["../out.txt", "/etc/passwd", "a\\b", "C:evil", "a/../b", ".hidden", "a/./b", "con\n", "inputs/", "BUNDLE.json"],
)
def test_a_name_that_leads_elsewhere_is_refused(made: bytes, name: str) -> None:
    assert not check(packed({**files_of(made), name: b"x"})).good


def test_what_stands_there_twice_is_refused(made: bytes) -> None:
    out = io.BytesIO(made)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(out, "a") as archive:
        archive.writestr("run.py", b"print('other')")
    assert not check(out.getvalue()).good


def test_what_lies_before_or_behind_the_archive_is_refused(made: bytes) -> None:
    out = io.BytesIO(made)
    with zipfile.ZipFile(out, "a") as archive:
        archive.comment = b"unsigned words"
    assert not check(out.getvalue()).good
    assert not check(b"#!/bin/sh\n" + made).good


def test_a_bomb_is_refused_before_it_is_unpacked(made: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = packed({**files_of(made), "inputs/bomb": bytes(8 * 2**20)}, zipfile.ZIP_DEFLATED)
    assert "RATIO_LIMIT" in " ".join(check(bomb).troubles)
    monkeypatch.setattr(checking, "BUNDLE_LIMIT", 1000)
    assert "BUNDLE_LIMIT" in " ".join(check(made).troubles)
    monkeypatch.setattr(checking, "ENTRIES_LIMIT", 3)
    assert "ENTRIES_LIMIT" in " ".join(check(made).troubles)


def test_a_header_that_lies_about_a_size_is_found(made: bytes) -> None:
    files = files_of(made)
    archive = bytearray(packed(files, zipfile.ZIP_DEFLATED))
    at = archive.index(b"PK\x01\x02", archive.index(b"PK\x01\x02") + 1)
    size = struct.unpack_from("<I", archive, at + 24)[0]
    struct.pack_into("<I", archive, at + 24, size - 1)
    assert not check(bytes(archive)).good


def test_a_link_is_refused(made: bytes) -> None:
    out = io.BytesIO(made)
    with zipfile.ZipFile(out, "a") as archive:
        link = zipfile.ZipInfo("inputs/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert any("link" in trouble for trouble in check(out.getvalue()).troubles)


def _other_graph(files: Files) -> Callable[[dict[str, Any]], None]:
    files["prompt.json"] = files["prompt.json"].replace(b"ImageInvert", b"ImageBlurr!")

    def change(said: dict[str, Any]) -> None:
        for file in said["files"]:
            if file["name"] == "prompt.json":
                file |= {"sha256": hashlib.sha256(files["prompt.json"]).hexdigest(), "size": len(files["prompt.json"])}

    return change


def test_a_list_that_contradicts_itself_is_not_good_however_it_is_signed(made: bytes, tmp_path: Path) -> None:
    files = files_of(made)

    def other_original(said: dict[str, Any]) -> None:
        said["asset"]["original_sha256"] = "0" * 64

    def other_input(said: dict[str, Any]) -> None:
        said["inputs"][0]["file"] = "prompt.json"

    def more(said: dict[str, Any]) -> None:
        said["surprise"] = 1

    for change in (other_original, other_input, more):
        found = check(resigned(files, tmp_path, change))
        assert found.signed
        assert not found.good, change
    assert check(resigned(files, tmp_path, lambda _: None)).good
    assert not check(resigned(files, tmp_path, _other_graph(files))).good, "two readers would run two graphs"


def test_only_who_is_vouched_for_or_known_to_the_caller_is_taken(studio: Studio, made: bytes, tmp_path: Path) -> None:
    files = files_of(made)
    unsigned = packed({name: content for name, content in files.items() if name != "bundle.sig"})
    foreign = resigned(files, tmp_path, lambda _: None)
    changed = packed({**files, "bundle.sig": files["bundle.sig"].replace(b'"size":', b'"size": ')})
    with studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        for content in (unsigned, foreign):
            assert post(client, content, own).status_code == 409
            assert post(client, content, own, trust_unknown="true").status_code == 202
        assert post(client, changed, own, trust_unknown="true").status_code == 422
        assert post(client, b"no zip", own, trust_unknown="true").status_code == 422


def test_a_bundle_that_says_other_than_the_file_is_not_recorded(studio: Studio, made: bytes, tmp_path: Path) -> None:
    files = files_of(made)
    for name in ("prompt.json", "documents/prompt.json"):
        files[name] = files[name].replace(b'"class_type": "ImageInvert"', b'"class_type": "ImageFlip"')

    def change(said: dict[str, Any]) -> None:
        for file in said["files"]:
            content = files.get(file["name"])
            if content is not None:
                file |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}

    assert b"ImageFlip" in files["prompt.json"]
    with studio.speaking() as client:
        answer = post(client, resigned(files, tmp_path, change), studio.key(Role.ADMIN), trust_unknown="true")
    assert answer.status_code == 422
    assert "another graph" in answer.json()["detail"]


def test_the_script_follows_no_path_of_a_bundle_out_of_its_folders(made: bytes, tmp_path: Path) -> None:
    files = files_of(made)
    with running(Options(output=tmp_path / "output", input=tmp_path / "input")) as url:
        for change in (
            {"subfolder": "../.."},
            {"name": "../x.png"},
            {"subfolder": "/elsewhere"},
            {"name": 'a"\r\nX: y'},
        ):

            def evil(said: dict[str, Any], change: dict[str, str] = change) -> None:
                said["inputs"][0] |= change

            place = tmp_path / "evil.zip"
            place.write_bytes(resigned(files, tmp_path, evil))
            result = bare.run(Bundle(place), Engine(url), out=tmp_path / "made", say=lambda _: None)
            assert result.verdict == "not attempted"
            assert "not sound" in result.detail
    assert not (tmp_path / "made").exists()


def test_the_script_refuses_what_is_no_bundle(made: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        archive.extractall(folder)
    (folder / "prompt.json").write_text("{}")
    with pytest.raises(NotAttempted, match="changed"):
        Bundle(folder).read("prompt.json")
    (folder / "prompt.json").unlink()
    (folder / "prompt.json").symlink_to("/etc/hostname")
    with pytest.raises(NotAttempted):
        Bundle(folder).read("prompt.json")
    (folder / "bundle.json").write_text(json.dumps({"format": "memoryd.bundle/1", "files": [{"name": "../x"}]}))
    with pytest.raises(NotAttempted, match="plain name"):
        Bundle(folder)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_pixels_are_called_equal_only_where_they_are_shown_the_same(files: Path) -> None:
    picture = (files / "comfyui" / "images" / BASIC).read_bytes()
    gamma, text = chunk(b"gAMA", struct.pack(">I", 100_000)), chunk(b"tEXt", b"a\0b")
    assert compare_with_pillow(picture, picture[:33] + text + picture[33:])[0] == "identical pixels"
    assert compare_with_pillow(picture, picture[:33] + gamma + picture[33:])[0] == "different"
    assert compare_with_pillow(picture, b"no picture")[0] == "different"


def command(*words: object) -> Any:
    app = typer.Typer()
    app.callback()(lambda: None)
    bundles.register(app)
    return CliRunner().invoke(app, ["bundle", *map(str, words)])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's home without a server."""
    monkeypatch.setenv("MEMORYD_HOME", str(tmp_path / "nobody"))
    return tmp_path


def test_a_bundle_is_verified_offline_with_an_anchor(home: Path, studio: Studio, made: bytes) -> None:
    place = home / "x.zip"
    place.write_bytes(made)
    found = command("verify", place)
    assert found.exit_code == 0, found.output
    assert "nobody trusted here vouches" in found.output
    root = home / "root.pem"
    root.write_text(load_anchors(studio.offices.keys / "pki").development_pem)
    assert '"trusted_by": "an anchor' in command("verify", place, "--anchor", root, "--json").output
    place.write_bytes(packed({**files_of(made), "README.md": b"send money"}))
    changed = command("verify", place)
    assert (changed.exit_code, "NOT GOOD" in changed.output) == (10, True)


def test_a_bundle_is_run_on_a_bare_engine_without_a_server(home: Path, made: bytes) -> None:
    place = home / "x.zip"
    place.write_bytes(made)
    with running(Options(output=home / "output", input=home / "input")) as url:
        asked = command("run", place, "--comfyui", url, "-o", home / "made")
        assert isinstance(asked.exception, MemorydError), "nobody here vouches for its signer"
        run = command("run", place, "--comfyui", url, "-o", home / "made", "--trust-unknown")
    assert run.exit_code == 0, run.output
    assert "verdict: identical file" in run.output
