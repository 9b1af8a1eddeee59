"""What must hold after the fire: seen from outside, by what everybody was told, and by SQL."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable
from typing import Any

from farm import Farm
from journal import read_all
from one_place import disorder_of


@dataclasses.dataclass
class Seen:
    """What the journals say."""

    queued: dict[str, str] = dataclasses.field(default_factory=dict)
    """Key -> job."""
    doubled: list[str] = dataclasses.field(default_factory=list)
    """Keys that named two jobs."""
    recorded: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """Jobs whose success was confirmed to a worker as recorded, how often."""
    recorded_fence: dict[str, int] = dataclasses.field(default_factory=dict)
    stale: set[tuple[str, int]] = dataclasses.field(default_factory=set)
    confirmed: set[tuple[str, int]] = dataclasses.field(default_factory=set)
    """Leases some report of which was answered recorded or duplicate."""
    fences: dict[str, list[int]] = dataclasses.field(default_factory=lambda: collections.defaultdict(list))
    cancelled: set[str] = dataclasses.field(default_factory=set)
    replayed: set[str] = dataclasses.field(default_factory=set)
    counts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    forgeries_taken: int = 0


def look(lines: Iterable[dict[str, Any]]) -> Seen:
    """Gather what the journals say."""
    seen, keys = Seen(), dict[tuple[str, int], str]()
    for line in lines:
        seen.counts[line["what"]] += 1
        match line["what"]:
            case "asked":
                keys[line["who"], line["number"]] = line["key"]
            case "queued":
                key = keys[line["who"], line["number"]]
                if seen.queued.setdefault(key, line["job"]) != line["job"]:
                    seen.doubled.append(key)
            case "grant":
                seen.fences[line["job"]].append(line["fence"])
            case "report":
                _report(seen, line)
            case "forgery":
                taken = line.get("answer") in ("recorded", "duplicate")
                seen.forgeries_taken += taken
            case "cancel":
                if line.get("answer") == "cancelled":
                    seen.cancelled.add(line["job"])
            case "replay":
                seen.replayed.add(line["job"])
    return seen


def _report(seen: Seen, line: dict[str, Any]) -> None:
    answer = line.get("answer")
    lease = (line["job"], line["fence"])
    if answer == "stale" or line.get("status") == 409:
        seen.counts["refused reports"] += 1
        seen.stale.add(lease)
    elif answer in ("recorded", "duplicate"):
        seen.counts[f"{answer} reports"] += 1
        seen.confirmed.add(lease)
        if line["how"] == "ok" and answer == "recorded":
            seen.recorded[line["job"]] += 1
        if line["how"] == "ok":
            seen.recorded_fence[line["job"]] = line["fence"]


def check(farm: Farm, expected: int, say: Any) -> Seen:
    """Judge everything; `say(name, holds, detail)` is told of each."""
    seen = look(read_all(farm.journals))
    with farm.sql() as sql:
        _judge_jobs(sql, seen, expected, say)
        _judge_results(sql, seen, say)
        _judge_record(sql, farm.scope.schema, say)
    log = farm.postgres_log()
    say("no deadlock in the log of Postgres", "deadlock detected" not in log, f"({log.count('deadlock detected')})")
    say("no deadlock that a caller was told of", seen.counts["deadlock"] == 0)
    say("no fault of the queue's own", seen.counts["fault"] == 0, f"({seen.counts['fault']})")
    panics = log.count("PANIC")
    say("no panic of Postgres", panics == 0, f"({panics})")
    told = farm.log()
    faults = told.count("fault at ") + told.count("a round of follow-up work failed")
    say("no fault of its own in a server's log", faults == 0, f"({faults})")
    return seen


def _judge_jobs(sql: Any, seen: Seen, expected: int, say: Any) -> None:
    known = {str(row[0]): str(row[1]) for row in sql.execute("select id, state from farm.job").fetchall()}
    say("as many jobs as were to come", len(known) >= expected, f"({len(known):,} of {expected:,})")
    say("each key made one job", not seen.doubled, f"({len(seen.queued):,} keys)")
    lost = [job for job in seen.queued.values() if job not in known]
    say("no job that was confirmed is lost", not lost, f"({len(lost)} lost)")
    keys = sql.execute("select count(*), count(distinct job_id) from farm.job_key").fetchone()
    say("no key without its job, no job without its key", keys == (len(known), len(known)), f"{keys}")
    ends = collections.Counter(known.values())
    open_ones = sum(ends[state] for state in ("ready", "leased", "delayed", "held"))
    told = ", ".join(f"{count:,} {state}" for state, count in sorted(ends.items()))
    say("every job ended", open_ones == 0, f"({told})")
    for sentence, count in disorder_of(sql).items():
        say(f"no {sentence}", count == 0, f"({count})")
    seen.counts["jobs"] = len(known)


def _judge_results(sql: Any, seen: Seen, say: Any) -> None:
    results = {
        str(job): (int(fence), str(outcome), str(state))
        for job, fence, outcome, state in sql.execute(
            "select r.job_id, r.fence, r.outcome, j.state from farm.result r join farm.job j on j.id = r.job_id"
        ).fetchall()
    }
    succeeded = sql.execute("select count(*) from farm.job where state = 'succeeded'").fetchone()[0]
    good = sum(outcome == "succeeded" for _, outcome, _ in results.values())
    say("a result of success for each success, and no other", succeeded == good, f"({succeeded:,} and {good:,})")
    twice = [job for job, count in seen.recorded.items() if count > 1]
    say("no result was recorded twice", not twice, f"({len(seen.recorded):,} were confirmed)")
    lost = [job for job in seen.recorded_fence if job not in results]
    say("no confirmed result is lost", not lost, f"({len(lost)} lost)")
    other = [job for job, fence in seen.recorded_fence.items() if job in results and results[job][0] != fence]
    say("each result is that of the lease that was confirmed", not other, f"({len(other)} are not)")
    late = [job for job, fence in seen.stale if job in results and results[job][0] == fence]
    # A report whose confirmation was lost on its way and that was then sent again is confirmed, never refused.
    say("no refused report is a result", not late, f"({seen.counts['refused reports']:,} were refused)")
    say("no forged token was taken", seen.forgeries_taken == 0, f"({seen.counts['forgery']:,} were tried)")
    alive = [
        job for job in seen.cancelled if job in results and results[job][1] == "succeeded" and job not in seen.replayed
    ]
    say("what was cancelled stayed so", not alive, f"({len(seen.cancelled):,} were)")
    fences = [fence for several in seen.fences.values() for fence in several]
    say("no fence was given twice", len(fences) == len(set(fences)), f"({len(fences):,} leases)")
    backward = [job for job, several in seen.fences.items() if job in results and results[job][0] < max(several)]
    say("no result is older than a lease of its job", not backward, f"({len(backward)} are)")


def _judge_record(sql: Any, schema: str, say: Any) -> None:
    jobs = sql.execute(
        f"""select count(*), count(*) filter (where d.result is not null)
              from {schema}.job_detail d join farm.job j on j.id = d.job_id where j.state = 'succeeded'"""
    ).fetchone()
    say("each success on the whole way has its record", jobs[0] == jobs[1], f"({jobs[0]:,})")
    outputs = sql.execute(
        f"""select count(*), count(o ->> 'asset_id'), count(distinct o ->> 'sha256'), count(distinct o ->> 'asset_id')
              from {schema}.job_detail d join farm.job j on j.id = d.job_id
             cross join jsonb_array_elements(d.result -> 'outputs') o where j.state = 'succeeded'"""
    ).fetchone()
    say("each of their pictures is recorded, and once", len(set(outputs)) == 1, f"{outputs}")
    assets = sql.execute(f"select count(*), count(distinct sha256) from {schema}.asset").fetchone()
    say("no asset is there twice, and none that is nobody's", assets == (outputs[0], outputs[0]), f"{assets}")
    runs = sql.execute(
        f"select count(*), count(distinct job_id) from {schema}.generation where job_id is not null"
    ).fetchone()
    say("one generation for each success", runs == (jobs[0], jobs[0]), f"{runs}")
    events = sql.execute(
        f"select count(*), count(distinct job_id) from {schema}.job_event where state = 'succeeded'"
    ).fetchone()
    say("each success was told once", events == (jobs[0], jobs[0]), f"{events}")
