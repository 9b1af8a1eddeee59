"""A job that insists on environments tells each worker which, so that one that was set up otherwise gives it back."""

from __future__ import annotations

import json
from collections.abc import Callable

from fastapi.testclient import TestClient

from memoryd.access.guards import Offices
from memoryd.dispatch.wire import JobKind
from memoryd.foundation.database import TenantScope
from memoryd.submission.facts import Submission
from memoryd.submission.submitting import submit
from tests.submission.conftest import GRAPH, FarmHand


def test_a_claim_says_which_environments_alone_may_run_the_job(
    person: TestClient, join: Callable[..., FarmHand], offices: Offices, tenant: TenantScope
) -> None:
    hand, wanted = join(), ("ab" * 32, "cd" * 32)
    for environments in (wanted, ()):
        with offices.database.tenant_work(tenant) as session:
            asked = Submission(prompt=json.dumps(GRAPH), kind=JobKind.REPRODUCE, environments=environments)
            submit(session, asked, scope=tenant, caller=None, store=offices.store)
        job = hand.claim()
        assert job is not None
        assert tuple(job["environments"]) == environments
