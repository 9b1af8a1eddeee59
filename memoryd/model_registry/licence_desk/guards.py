"""Who may say under which terms models come: whoever answers for the whole tenant's compliance, or records its models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, TypeAlias

from fastapi import Depends
from fastapi.requests import HTTPConnection

from memoryd.access.facts import Caller, Scope
from memoryd.access.guards import Office, ScopeMissing, Work, person_with, recognise


def licensor(connection: HTTPConnection, office: Office) -> Iterator[Work]:
    """Yield an open unit of work of somebody who may: an officer or administrator of the whole tenant, not of one project.

    Terms count in every project. Raises: as recognise; ScopeMissing.
    """
    caller = recognise(connection, office)
    records = isinstance(caller, Caller) and Scope.INGEST in caller.everywhere
    scope = Scope.INGEST if records else Scope.DISCLOSE
    person = person_with(caller, scope)
    if scope not in person.everywhere:
        raise ScopeMissing(
            f"{person.name} is an officer of single projects, and licences count in all of them",
            hint="ask an officer or administrator of the whole tenant",
            scope=scope.value,
        )
    with office.database.tenant_work(person.tenant) as session:
        yield Work(session=session, caller=person, database=office.database, store=office.store)


Licensor: TypeAlias = Annotated[Work, Depends(licensor, scope="function")]
