"""Making two people one: what is rewritten, and what is not.

Identifiers, tags and uploaded lists move to the survivor. Events, deliveries and snapshots stay
with the QAID they came with; whoever reads them follows the redirect.
"""

from collections.abc import Sequence
from typing import Any

from django.db.backends.utils import CursorWrapper


def merge(cursor: CursorWrapper, pairs: Sequence[tuple[int, int]]) -> None:
    """Merge each (QAID, survivor). Survivors are nobody's QAID here, and older.

    The caller holds the workspace's lock alone.
    """
    if not pairs:
        return
    merged, survivors = [qaid for qaid, _ in pairs], [survivor for _, survivor in pairs]
    cursor.execute(
        "SELECT id FROM identity_idtype t WHERE NOT multi_value AND NOT in_mapping"
        " AND workspace_id = (SELECT workspace_id FROM identity_profile WHERE qaid = %s)",
        [survivors[0]],
    )
    single = [pk for (pk,) in cursor.fetchall()]
    _move_identifiers(cursor, merged, survivors)
    keep_one_value(
        cursor, id_type_ids=single, people="SELECT unnest(%s::bigint[])", params=[survivors]
    )
    _move_lists(cursor, merged, survivors)
    _join_tags(cursor, merged, survivors)
    # Redirects stay flat: what pointed to the merged one points to the survivor.
    cursor.execute(
        "UPDATE identity_profile p SET merged_into_id = m.survivor, tags = '{}', tag_times = '{}'"
        " FROM unnest(%s::bigint[], %s::bigint[]) AS m (qaid, survivor)"
        " WHERE p.qaid = m.qaid OR p.merged_into_id = m.qaid",
        [merged, survivors],
    )


def _move_identifiers(cursor: CursorWrapper, merged: list[int], survivors: list[int]) -> None:
    cursor.execute(
        "UPDATE identity_mappingkey k SET profile_id = m.survivor"
        " FROM unnest(%s::bigint[], %s::bigint[]) AS m (qaid, survivor)"
        " JOIN identity_identifier i ON i.profile_id = m.qaid"
        " WHERE k.id_type_id = i.id_type_id AND k.value = i.value AND k.profile_id = m.qaid",
        [merged, survivors],
    )
    upsert_identifiers(
        cursor,
        "SELECT m.survivor, i.id_type_id, i.value, i.data_source_id,"
        " min(i.first_seen), max(i.last_seen)"
        " FROM unnest(%s::bigint[], %s::bigint[]) AS m (qaid, survivor)"
        " JOIN identity_identifier i ON i.profile_id = m.qaid GROUP BY 1, 2, 3, 4",
        [merged, survivors],
    )
    cursor.execute("DELETE FROM identity_identifier WHERE profile_id = ANY(%s)", [merged])


def _move_lists(cursor: CursorWrapper, merged: list[int], survivors: list[int]) -> None:
    cursor.execute(
        "WITH moved AS ("
        "  DELETE FROM identity_audiencemember l"
        "  USING unnest(%s::bigint[], %s::bigint[]) AS m (qaid, survivor)"
        "  WHERE l.profile_id = m.qaid RETURNING l.audience_id, m.survivor"
        ") INSERT INTO identity_audiencemember (audience_id, profile_id)"
        " SELECT audience_id, survivor FROM moved ON CONFLICT DO NOTHING",
        [merged, survivors],
    )


def _join_tags(cursor: CursorWrapper, merged: list[int], survivors: list[int]) -> None:
    """Keep for each tag the value with the later time; of two at once the smaller one."""
    cursor.execute(
        "WITH sources AS ("
        "  SELECT survivor, qaid FROM unnest(%s::bigint[], %s::bigint[]) AS m (qaid, survivor)"
        "  UNION SELECT s, s FROM unnest(%s::bigint[]) AS s"
        "), latest AS ("
        "  SELECT DISTINCT ON (s.survivor, t.key) s.survivor, t.key, t.value AS time,"
        "    p.tags -> t.key AS tag"
        "  FROM sources s JOIN identity_profile p ON p.qaid = s.qaid"
        "  CROSS JOIN LATERAL jsonb_each(p.tag_times) t"
        "  ORDER BY s.survivor, t.key, t.value::float8 DESC, p.tags -> t.key"
        "), joined AS ("
        "  SELECT survivor, jsonb_object_agg(key, time) AS times,"
        "    coalesce(jsonb_object_agg(key, tag) FILTER (WHERE tag IS NOT NULL), '{}') AS tags"
        "  FROM latest GROUP BY survivor"
        ") UPDATE identity_profile p SET tags = joined.tags, tag_times = joined.times"
        " FROM joined WHERE p.qaid = joined.survivor",
        [merged, survivors, survivors],
    )


def upsert_identifiers(cursor: CursorWrapper, select: str, params: Sequence[Any]) -> None:
    """Write the identifiers that a statement selects; a known one gets the wider time span."""
    cursor.execute(
        "INSERT INTO identity_identifier AS i"
        " (profile_id, id_type_id, value, data_source_id, first_seen, last_seen)"
        f" {select}"
        " ON CONFLICT (profile_id, id_type_id, value, data_source_id) DO UPDATE"
        " SET first_seen = least(i.first_seen, excluded.first_seen),"
        "     last_seen = greatest(i.last_seen, excluded.last_seen)"
        " WHERE i.first_seen > excluded.first_seen OR i.last_seen < excluded.last_seen",
        params,
    )


def keep_one_value(
    cursor: CursorWrapper,
    *,
    id_type_ids: Sequence[int],
    people: str,
    params: Sequence[Any] = (),
) -> None:
    """Keep the value seen last of single-value types that are not in ID Mapping.

    ``people`` selects whose identifiers are looked at.
    """
    if not id_type_ids:
        return
    cursor.execute(
        "DELETE FROM identity_identifier i USING ("
        "  SELECT r.profile_id, r.id_type_id, r.value, r.data_source_id,"
        "    first_value(r.value) OVER (PARTITION BY r.profile_id, r.id_type_id"
        '      ORDER BY r.last_seen DESC, d.priority, r.value COLLATE "C") AS kept'
        "  FROM identity_identifier r JOIN identity_datasource d ON d.id = r.data_source_id"
        f"  WHERE r.id_type_id = ANY(%s) AND r.profile_id IN ({people})"
        ") ranked WHERE ranked.value <> ranked.kept AND i.profile_id = ranked.profile_id"
        " AND i.id_type_id = ranked.id_type_id AND i.value = ranked.value"
        " AND i.data_source_id = ranked.data_source_id",
        [list(id_type_ids), *params],
    )
