"""`memoryd work`: the server's own follow-up work. Chores, the audit trail's sealer, the event relay, the farm's tending.

Any number of these may run: each piece of work is taken under a lease or an advisory lock, and repeats are harmless.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from memoryd.access import directory
from memoryd.app.handlers import HANDLERS, HandlerContext
from memoryd.events import relay
from memoryd.access.trail import sealer
from memoryd.dispatch import chores, tending
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import MemorydError, Unavailable
from memoryd.foundation.ids import TenantId
from memoryd.foundation.logging import log_for
from memoryd.foundation.settings import Settings

SEAL_EVERY_S = 0.2
TEND_EVERY_S = 1.0
TENANTS_EVERY_S = 5.0
CHORE_IDLE_S = 0.5
DOWN_WAIT_S = 1.0
"""After the database did not answer. `memoryd up` has it back within 5 s."""

_log = log_for(__name__)
