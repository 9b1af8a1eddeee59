"""The key that this machine's commands use: made once, kept in the home with mode 600, made anew when it was revoked."""

from __future__ import annotations

from pathlib import Path

from memoryd.access import keys, people
from memoryd.access.roles import PEOPLES_SCOPES
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import NotRecognised
from memoryd.foundation.settings import write_secret

LOCAL_KEY_NAME = "commands of this machine"


def local_key(database: Database, tenant: TenantScope, folder: Path) -> str:
    """Return the local person's key in this tenant, from `folder` or newly made. Raises: PersonNotFound; OSError."""
    path = folder / f"local-{tenant.slug}.key"
    if path.exists():
        token = path.read_text().strip()
        try:
            keys.recognise_key(database, token)
            return token
        except NotRecognised:
            path.unlink()
    with database.tenant_work(tenant) as session:
        person = people.find_person(session, people.LOCAL_LOGIN)
        made = keys.make_key(session, tenant, name=LOCAL_KEY_NAME, scopes=PEOPLES_SCOPES, person=person)
    write_secret(path, made.token.encode())
    return made.token
