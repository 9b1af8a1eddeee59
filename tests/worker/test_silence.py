"""A ComfyUI that is busy is told from one that hangs."""

from __future__ import annotations

from memoryd.worker.silence import BUSY_LIMIT_S, SILENT_LIMIT_S, Activity, Silence


def doing(processor_s: float, read_bytes: int = 0) -> Activity:
    return Activity(processor_s=processor_s, read_bytes=read_bytes)


def test_one_that_does_nothing_and_says_nothing_hangs_after_its_limit() -> None:
    silence = Silence(0)
    for second in range(int(SILENT_LIMIT_S) + 1):
        assert silence.hangs(second, doing(5 + second * 0.001)) is None
    assert "does nothing" in str(silence.hangs(SILENT_LIMIT_S + 2, doing(5.13)))


def test_a_long_load_is_no_hang_whether_it_computes_or_reads() -> None:
    for step in (doing(1), doing(0, 50 * 2**20)):
        silence = Silence(0)
        for second in range(0, int(BUSY_LIMIT_S), 10):
            done = doing(step.processor_s * second, step.read_bytes * second)
            assert silence.hangs(second, done) is None, second
        assert silence.hangs(BUSY_LIMIT_S + 1, doing(BUSY_LIMIT_S)) is not None


def test_where_nobody_can_see_what_it_does_only_the_longer_limit_counts() -> None:
    silence = Silence(0)
    assert silence.hangs(SILENT_LIMIT_S * 2, None) is None
    assert silence.hangs(BUSY_LIMIT_S + 1, None) is not None


def test_an_answer_begins_everything_anew() -> None:
    silence = Silence(0)
    silence.hangs(SILENT_LIMIT_S, doing(1))
    silence.heard(SILENT_LIMIT_S)
    assert silence.hangs(SILENT_LIMIT_S + 5, doing(1)) is None
    assert silence.silent_s(SILENT_LIMIT_S + 5) == 5
