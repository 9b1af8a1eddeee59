"""The shapes of HTTP."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memoryd.reports.bom.facts import BomVersion
from memoryd.submission.submitting import TEXT_LIMIT


class BomRequest(BaseModel):
    """What a bill of materials is about: exactly one of an asset (`ref`), a workflow's prompt, and a project."""

    model_config = ConfigDict(extra="forbid")

    ref: str | None = Field(default=None, max_length=4_096)
    workflow: str | None = Field(
        default=None, max_length=TEXT_LIMIT, description="a prompt in API format, as JSON text"
    )
    name: str = Field(default="workflow", max_length=200, description="what the workflow is called")
    project: str | None = Field(default=None, max_length=200)
    version: BomVersion = BomVersion.V1_6

    @model_validator(mode="after")
    def _one(self) -> BomRequest:
        if sum(each is not None for each in (self.ref, self.workflow, self.project)) != 1:
            raise ValueError("name one of `ref`, `workflow` and `project`")
        return self


class MadeBom(BaseModel):
    """A bill of materials as the text of the file to write, signed detached. `unknowns`: what it could not tell."""

    name: str
    bom: str
    signature: str
    models: int
    unknowns: list[str]
