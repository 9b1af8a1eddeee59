"""What commands about pools, workers and canaries say, to people who do not know the API's names."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from memoryd.foundation.errors import MemorydError
from memoryd_cli import canaries, pools, vary, workers

RUN = CliRunner()
POOL = {
    "name": "big cards",
    "shared": False,
    "vram_mb": 24000,
    "region": None,
    "licence_server": None,
    "labels": {"card": "4090"},
    "rank": 1,
    "max_run_time_s": 3600.0,
    "no_progress_limit_s": 900.0,
    "warm_up_s": 8.0,
    "has_warm_up": True,
    "paused_at": "2026-11-21T22:21:51Z",
    "backs_off_until": None,
}


class Server:
    """Answers each path with what it was given."""

    url = "http://127.0.0.1:7860"

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def get(self, path: str, **_: Any) -> Any:
        return self.answers[f"get {path}"]

    def post(self, path: str, **_: Any) -> Any:
        return self.answers[f"post {path}"]

    def listed(self, path: str, **_: Any) -> Any:
        return self.answers[f"get {path}"]


def said(monkeypatch: pytest.MonkeyPatch, part: Any, answers: dict[str, Any], *words: str) -> tuple[int, str]:
    monkeypatch.setattr(part, "server", lambda: Server(**answers))
    app = typer.Typer()
    part.register(app)
    result = RUN.invoke(app, list(words))
    if isinstance(result.exception, MemorydError):
        raise result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize("word", ["show", "pause", "resume"])
def test_a_pool_is_told_in_words(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    answers = {"get /pools/big%20cards": POOL} | {f"post /pools/big%20cards/{w}": POOL for w in ("pause", "resume")}
    code, output = said(monkeypatch, pools, answers, "pools", word, "big cards")
    assert code == 0
    assert "paused" in output
    assert "_" not in output


@pytest.mark.parametrize(
    ("words", "engine"),
    [
        ((), "--comfyui http://127.0.0.1:8188"),
        (("--comfyui", "http://gpu:8188"), "--comfyui http://gpu:8188"),
        (("--comfyui-dir", "/opt/Comfy UI"), "--comfyui-dir '/opt/Comfy UI'"),
    ],
)
def test_the_command_that_joins_a_worker_names_its_comfyui(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], engine: str
) -> None:
    _, output = said(monkeypatch, workers, {"post /workers": {"token": "mj_1"}}, "workers", "add", *words)
    assert output.strip() == f"memoryd worker --server http://127.0.0.1:7860 --token mj_1 {engine}"


def test_a_worker_has_one_comfyui(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(workers.TwoEngines):
        said(monkeypatch, workers, {}, "workers", "add", "--comfyui", "http://x", "--comfyui-dir", "/x")


def test_canaries_that_ran_nothing_are_not_told_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"post /canaries/runs": {"due": 0}, "get /canaries/runs": {"items": []}}
    code, output = said(monkeypatch, canaries, answers, "canaries", "run", "film", "--wait")
    assert code == canaries.NOT_ATTEMPTED_EXIT_CODE
    assert "nothing to run" in output


@pytest.mark.parametrize(
    "words",
    [(), ("--to", "2x", "--model", "m.pth"), ("--to", "2x", "--input", "10.image"), ("--to", "2x", "--pad", "red")],
)
def test_options_of_an_enlargement_that_would_do_nothing_are_refused(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    with pytest.raises(vary.BadEnlargement) as refused:
        said(monkeypatch, vary, {}, "enlarge", "ac59fd8d59a0", *words)
    assert refused.value.hint
