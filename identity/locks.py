"""One lock a workspace, held to the end of the transaction, around who is who.

Whoever joins or merges people takes it alone; whoever only writes to people that he has looked
up takes it together with others like him, so that none of them is merged away meanwhile.
"""

from typing import Final

from django.db import connection

_SPACE: Final = 0x1D  # Of this app's advisory locks.


def exclusive(workspace_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s::int)", [_SPACE, workspace_id])


def shared(workspace_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s::int)", [_SPACE, workspace_id])
