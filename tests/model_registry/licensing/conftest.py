"""Fixtures of these tests: the small app with licences and models, and somebody of each kind who asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from memoryd.model_registry.licence_desk import endpoints
from tests.model_registry.conftest import TestClient


@pytest.fixture
def http(app: FastAPI) -> Iterator[TestClient]:
    """Somebody from another machine without any proof."""
    # Before the models' own routes, as in the application: a model may be called anything.
    whole = FastAPI()
    whole.state.offices = app.state.offices
    whole.include_router(endpoints.router, prefix="/v1")
    whole.exception_handlers.update(app.exception_handlers)
    whole.router.routes.extend(app.router.routes)
    with TestClient(whole, base_url="https://studio.example", client=("203.0.113.7", 4711)) as client:
        yield client
