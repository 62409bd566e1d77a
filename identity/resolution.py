"""The heart of the webhook step: which value a person is addressed by.

One value of one ID type, across all data sources: the one seen last (or first, where the ID
type says so), then the one of the source with the smaller priority number, then the smaller
value. A profile that was merged answers for its survivor. A disabled ID type has no values.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from django.db import connection
from django.db.backends.utils import CursorWrapper

from identity import audience_rules
from identity.models import Audience, EventType, IdType
from workspaces import planned
from workspaces.models import Workspace


class Person(NamedTuple):
    """What a message needs of one person."""

    qaid: int  # As it was asked for.
    profile: int  # After redirects.
    ids: tuple[str | None, ...]  # One an ID type, in the order asked.
    tags: tuple[Any, ...]  # One a tag code, in the order asked; None when there is no value.
    erased: bool


# One index range of the primary key (profile_id, id_type_id, …) a person and ID type. The ID type
# is read once for all people, a survivor only for those who were merged.
_ID_TYPE: Final = " LEFT JOIN identity_idtype t{place} ON t{place}.id = %s AND t{place}.enabled"
_ONE_VALUE: Final = """
LEFT JOIN LATERAL (
    SELECT i.value
    FROM identity_identifier i
    WHERE i.profile_id = coalesce(s.qaid, p.qaid) AND i.id_type_id = t{place}.id
    ORDER BY CASE WHEN t{place}.pick = 'latest' THEN i.last_seen END DESC,
             CASE WHEN t{place}.pick = 'earliest' THEN i.first_seen END,
             (SELECT d.priority FROM identity_datasource d WHERE d.id = i.data_source_id),
             i.value COLLATE "C"
    LIMIT 1
) id{place} ON true"""


@lru_cache(maxsize=64)
def people_sql(id_count: int, tag_count: int) -> str:
    """Return the statement of ``read_people``.

    Its parameters: the tag codes, the QAIDs as one array, the ID types.
    """
    ids = "".join(f", id{place}.value" for place in range(id_count))
    tags = ", ".join(["coalesce(s.tags, p.tags) -> %s"] * tag_count)
    types = "".join(_ID_TYPE.format(place=place) for place in range(id_count))
    values = "".join(_ONE_VALUE.format(place=place) for place in range(id_count))
    return (
        f"SELECT asked.qaid, coalesce(s.qaid, p.qaid, asked.qaid),"
        " p.qaid IS NULL OR CASE WHEN s.qaid IS NULL THEN p.erased_at ELSE s.erased_at END"
        " IS NOT NULL,"
        f" jsonb_build_array({tags})::text{ids}"
        " FROM unnest(%s::bigint[]) WITH ORDINALITY AS asked (qaid, place)"
        " LEFT JOIN identity_profile p ON p.qaid = asked.qaid"
        " LEFT JOIN identity_profile s ON s.qaid = p.merged_into_id"
        f"{types}{values} ORDER BY asked.place"
    )


_ERASED: Final = """
SELECT asked.qaid FROM unnest(%s::bigint[]) AS asked (qaid)
LEFT JOIN identity_profile p ON p.qaid = asked.qaid
LEFT JOIN identity_profile s ON s.qaid = coalesce(p.merged_into_id, p.qaid)
WHERE s.qaid IS NULL OR s.erased_at IS NOT NULL
"""


def erased(cursor: CursorWrapper, qaids: Sequence[int]) -> set[int]:
    """Return those who were erased since, or whose survivor was."""
    cursor.execute(_ERASED, [list(qaids)])
    return {qaid for (qaid,) in cursor.fetchall()}


def read_people(
    cursor: CursorWrapper,
    *,
    qaids: Sequence[int],
    id_type_ids: Sequence[int],
    tag_codes: Sequence[str],
    is_repeated: bool = False,
) -> list[Person]:
    """Read identity and tags of a chunk of people in one statement, in the order of ``qaids``.

    ``is_repeated``: this connection reads chunk after chunk, so that its plan is worth keeping.
    """
    sql = people_sql(len(id_type_ids), len(tag_codes))
    # As one text: the driver and the server read a list element by element.
    params: list[Any] = [*tag_codes, f"{{{','.join(map(str, qaids))}}}", *id_type_ids]
    if is_repeated:
        planned.execute(cursor, "read_people", sql, params)
    else:
        cursor.execute(sql, params)
    rows = cursor.fetchall()
    # Read as one text: a text each takes twice as long.
    tags = json.loads(f"[{','.join([row[3] for row in rows])}]")
    return [
        Person(qaid, profile, tuple(ids), tuple(values), erased)
        for (qaid, profile, erased, _, *ids), values in zip(rows, tags, strict=True)
    ]


def resolve(cursor: CursorWrapper, qaids: Sequence[int], id_type_id: int) -> dict[int, str]:
    """Return the value of each QAID that has one, by the QAID that was asked for."""
    people = read_people(cursor, qaids=qaids, id_type_ids=[id_type_id], tag_codes=[])
    return {person.qaid: person.ids[0] for person in people if person.ids[0] is not None}


def coverage(
    *,
    workspace: Workspace,
    id_types: Sequence[IdType],
    audience: Audience | None = None,
    event_type: EventType | None = None,
    now: datetime | None = None,
) -> dict[int, int]:
    """Return how many of the people have a value, by ID type: of an audience, or of an event type.

    The people of an event type are those who reported it in the last 30 days.
    """
    sql, params = audience_rules.people_sql(audience=audience, event_type=event_type, now=now)
    ids = [id_type.pk for id_type in id_types]
    counts = dict.fromkeys(ids, 0)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.id_type_id, count(DISTINCT i.profile_id)"
            f" FROM ({sql}) AS people (qaid)"
            " JOIN identity_identifier i ON i.profile_id = people.qaid"
            " JOIN identity_idtype t ON t.id = i.id_type_id"
            " WHERE i.id_type_id = ANY(%s) AND t.enabled AND t.workspace_id = %s"
            " GROUP BY i.id_type_id",
            [*params, ids, workspace.pk],
        )
        counts.update(cursor.fetchall())
    return counts
