"""Writing tags: for each one the later time wins, whatever order they arrive in."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from identity import locks
from identity.models import Tag
from workspaces.models import Workspace

# ``incoming`` has (profile_id, place, time, tags): tags with JSON null clear. Of several values
# for one person the later place wins among equal times.
_WRITE = """
WITH incoming AS ({incoming}),
latest AS (
    SELECT DISTINCT ON (i.profile_id, t.key) i.profile_id, t.key, t.value, i.time
    FROM incoming i CROSS JOIN LATERAL jsonb_each(i.tags) t
    ORDER BY i.profile_id, t.key, i.time DESC, i.place DESC
),
documents AS (
    SELECT l.profile_id,
        coalesce(jsonb_object_agg(l.key, l.value) FILTER (WHERE l.value <> 'null'), '{{}}') AS tags,
        coalesce(array_agg(l.key) FILTER (WHERE l.value = 'null'), '{{}}') AS cleared,
        jsonb_object_agg(l.key, l.time) AS times
    FROM latest l JOIN identity_profile p ON p.qaid = l.profile_id
    WHERE coalesce((p.tag_times -> l.key)::numeric, 0) <= l.time
    GROUP BY l.profile_id
)
UPDATE identity_profile p
SET tags = (p.tags - d.cleared) || d.tags, tag_times = p.tag_times || d.times
FROM documents d
WHERE p.qaid = d.profile_id
  AND (NOT p.tag_times @> d.times OR NOT p.tags @> d.tags OR p.tags ?| d.cleared)
"""


def write_staged(cursor: CursorWrapper) -> int:
    """Write the payloads of the staged lines as tags; return how many people changed."""
    incoming = (
        "SELECT profile_id, line AS place,"
        " extract(epoch FROM seen_at) AS time, payload AS tags"
        " FROM identity_staged WHERE profile_id > 0"
    )
    cursor.execute(_WRITE.format(incoming=incoming))
    return int(cursor.rowcount)


def set_tags(
    *, workspace: Workspace, values: Mapping[str, Any], qaids: Sequence[int], now: datetime
) -> int:
    """Give people the same values by tag code; return how many changed.

    The values have been checked by ``typed_values``; None clears. Redirects are followed.
    """
    incoming = (
        "SELECT DISTINCT s.qaid AS profile_id, 0 AS place,"
        " extract(epoch FROM %s::timestamptz) AS time,"
        " %s::jsonb AS tags FROM unnest(%s::bigint[]) AS asked (qaid)"
        " JOIN identity_profile p ON p.qaid = asked.qaid"
        " JOIN identity_profile s ON s.qaid = coalesce(p.merged_into_id, p.qaid)"
        " WHERE s.workspace_id = %s AND s.erased_at IS NULL"
    )
    with transaction.atomic(), connection.cursor() as cursor:
        locks.shared(workspace.pk)
        cursor.execute(
            _WRITE.format(incoming=incoming),
            [now, json.dumps(values), list(qaids), workspace.pk],
        )
        return int(cursor.rowcount)


def remove(tag: Tag) -> None:
    """Delete a tag and everybody's value of it."""
    with transaction.atomic(), connection.cursor() as cursor:
        locks.exclusive(tag.workspace_id)
        cursor.execute(
            "UPDATE identity_profile SET tags = tags - %s, tag_times = tag_times - %s"
            " WHERE workspace_id = %s AND jsonb_exists(tag_times, %s)",
            [tag.code, tag.code, tag.workspace_id, tag.code],
        )
        tag.delete()
