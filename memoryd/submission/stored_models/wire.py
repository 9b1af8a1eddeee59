"""The shapes of the model store over HTTP."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from memoryd.model_registry.keeping.facts import ModelCopy
from memoryd.model_registry.keeping.pushing import FOLDER_LIMIT, NAME_LIMIT, SIZE_LIMIT, PushState, Standing
from memoryd.submission.stored_models.room import Needs


class PushRequest(BaseModel):
    """Weights that are about to be pushed: their bytes, and what a graph calls them."""

    size: int = Field(gt=0, le=SIZE_LIMIT)
    folder: Annotated[str, Field(max_length=FOLDER_LIMIT)]
    name: Annotated[str, Field(max_length=NAME_LIMIT)]


class PushAnswer(BaseModel):
    """`wanted`: send bytes from `offset` on; `checking`: all of it arrived, ask to finish; `stored`: it is there."""

    state: Literal["wanted", "checking", "stored"]
    offset: int

    @classmethod
    def of(cls, state: PushState) -> PushAnswer:
        """Return how a push stands."""
        word: Literal["wanted", "checking", "stored"]
        match state.standing:
            case Standing.WANTED:
                word = "wanted"
            case Standing.CHECKING:
                word = "checking"
            case Standing.STORED:
                word = "stored"
        return cls(state=word, offset=state.offset)


class StoredModel(BaseModel):
    """Weights in the store. `needed_by` says why they stay whatever the limit, null where nobody needs them."""

    sha256: str
    size: int
    folder: str
    name: str
    pushed_at: datetime.datetime
    last_used_at: datetime.datetime
    uses: int
    needed_by: str | None

    @classmethod
    def of(cls, copy: ModelCopy, needs: Needs) -> StoredModel:
        """Return a copy as it is shown."""
        return cls(
            sha256=copy.sha256.hex(),
            size=copy.size,
            folder=copy.folder,
            name=copy.name,
            pushed_at=copy.pushed_at,
            last_used_at=copy.last_used_at,
            uses=copy.uses,
            needed_by=needs.why(copy.sha256),
        )


class StoredModels(BaseModel):
    """What lies in the store, by hash; `count` and `size` are of all of it, `limit` is what it may be (bytes)."""

    items: list[StoredModel]
    next_cursor: str | None
    count: int
    size: int
    limit: int | None


class Discarded(BaseModel):
    """What left the store (bytes)."""

    size: int
