"""`memoryd up`: what is refused before anything starts."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from memoryd.app import one_machine
from memoryd.app.one_machine import AlreadyUp, Wishes, bring_up, the_only_one
from memoryd.app.serving import OpenToStrangers, PortTaken, TlsUnusable, reachable, require_protected
from memoryd.foundation.settings import Settings
from memoryd.foundation.tls import TrustUnusable, trust
from memoryd.ingest.roots import RootsOverlap, keep_apart


def silent(_: str) -> None:
    return None


@pytest.fixture
def wishes(tmp_path: Path) -> Wishes:
    folder = tmp_path / "output"
    folder.mkdir()
    return Wishes(folders=(folder,))


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    asked = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subject = ["-subj", "/CN=studio.example", "-days", "2", "-out", str(chain), "-keyout", str(key)]
    subprocess.run([*asked, *subject], check=True, capture_output=True)
    return chain, key


def test_two_of_them_cannot_have_one_home(tmp_path: Path) -> None:
    with the_only_one(tmp_path), pytest.raises(AlreadyUp) as refused, the_only_one(tmp_path):
        pass
    assert "MEMORYD_HOME" in str(refused.value.hint)
    with the_only_one(tmp_path):
        pass  # the first is gone


def test_a_second_one_is_refused_before_it_touches_anything(tmp_path: Path, wishes: Wishes) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with the_only_one(home), pytest.raises(AlreadyUp):
        bring_up(Settings(home=home, port=0), wishes, say=silent)
    assert [path.name for path in home.iterdir()] == ["up.lock"]


def test_a_taken_port_is_said_at_once(tmp_path: Path, wishes: Wishes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_machine, "PORT_PATIENCE_S", 0.0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(PortTaken):
            bring_up(Settings(home=tmp_path / "home", port=other.getsockname()[1]), wishes, say=silent)


def test_off_loopback_without_protection_nothing_is_made(tmp_path: Path, wishes: Wishes) -> None:
    with pytest.raises(OpenToStrangers):
        bring_up(Settings(home=tmp_path / "home", host="0.0.0.0"), wishes, say=silent)  # noqa: S104
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("watched", ["home", "home/blobs", "."])
def test_a_folder_in_or_around_the_home_is_refused_before_anything_starts(tmp_path: Path, watched: str) -> None:
    home = tmp_path / "home"
    (home / "blobs").mkdir(parents=True)
    with pytest.raises(RootsOverlap) as refused:
        bring_up(Settings(home=home, port=0), Wishes(folders=(tmp_path / watched,)), say=silent)
    assert str(refused.value.hint).startswith("watch ")
    assert [path.name for path in home.iterdir()] == ["blobs"]


def test_folders_that_no_walk_leads_from_to_the_home_are_fine(tmp_path: Path) -> None:
    keep_apart(tmp_path, tmp_path / ".memoryd")
    keep_apart(tmp_path / "home" / "outputs", tmp_path / "home")


def test_tls_files_are_tried_before_they_are_needed(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    chain, key = certificate
    require_protected(Settings(host="0.0.0.0", tls_cert=chain, tls_key=key))  # noqa: S104
    for cert, its_key in ((tmp_path / "gone.pem", key), (chain, chain), (key, key)):
        with pytest.raises(TlsUnusable):
            require_protected(Settings(host="127.0.0.1", tls_cert=cert, tls_key=its_key))
    with pytest.raises(OpenToStrangers):
        require_protected(Settings(host="127.0.0.1", tls_cert=chain))


def test_a_server_on_all_addresses_is_reached_on_this_machines_own() -> None:
    assert reachable("0.0.0.0") == "127.0.0.1"  # noqa: S104
    assert reachable("::") == "[::1]"
    assert reachable("192.0.2.7") == "192.0.2.7"


def test_a_certificate_of_our_own_is_trusted_alone_here_and_by_name_elsewhere(certificate: tuple[Path, Path]) -> None:
    chain, key = certificate
    assert trust("http://127.0.0.1:1", chain) is False
    assert trust("https://studio.example", None) is True
    here, there = trust("https://127.0.0.1:1", chain), trust("https://studio.example", chain)
    assert not isinstance(here, bool)
    assert not isinstance(there, bool)
    assert not here.check_hostname
    assert there.check_hostname
    assert len(here.get_ca_certs()) == 1
    with pytest.raises(TrustUnusable):
        trust("https://studio.example", key)
