"""ID Mapping: whose the staged lines are, for a bulk import and for a single event alike.

Most lines name people who are known by all their values already; one statement finds them. Only
the others go through ``identity.joining``, and what that decides is written set-based.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.backends.utils import CursorWrapper

from identity import locks, merging, staging
from identity.combinations import Combinations
from identity.joining import NEW, Conflict, Joiner, Record
from identity.models import IdType
from workspaces.models import Workspace

# In identity_staged.profile_id: the ID is that of several people.
AMBIGUOUS = -1


class TypesChangedError(Exception):
    """ID Mapping was set up differently after the importer looked; begin again."""


@dataclass(slots=True)
class Assigned:
    """What assigning a batch changed."""

    people: int = 0
    merged: int = 0
    conflicts: int = 0


@dataclass(slots=True)
class Mapper:
    """Assigns staged lines to people.

    ``types`` are the types in ID Mapping in the order of their priority: the type of slot v1,
    v2, … of the staging table. ``create`` makes people for unknown values; without it unknown
    values stay nobody's and nothing is changed. ``many_new`` takes the lock alone at once,
    since a look beforehand would find that it must be.
    """

    workspace: Workspace
    types: Sequence[IdType]
    data_source_id: int
    create: bool = True
    many_new: bool = False

    def assign(
        self, cursor: CursorWrapper, *, slots: Sequence[int], lines: bool = True, now: datetime
    ) -> Assigned:
        """Find or make the people of the staged lines, which have values in ``slots``.

        Fills ``profile_id`` of each combination of values and, with ``lines``, of each line;
        NULL where nobody is known. Holds the workspace's lock to the end of the transaction.
        """
        named = Combinations(self.workspace.pk, self.types, slots)
        assigned = Assigned()
        if (self.many_new and self.create) or not self._assign_known(cursor, named):
            locks.exclusive(self.workspace.pk)
            named.collect(cursor)
            if slots:
                assigned.people = named.make_strangers(cursor, now=now)
                if records := named.undecided(cursor):
                    self._decide(cursor, named, records, assigned, now=now)
                named.write_additions(cursor)
        self._check_types(cursor)
        if lines:
            self._write_lines(cursor, slots)
        return assigned

    def _check_types(self, cursor: CursorWrapper) -> None:
        """Under the lock nobody changes them any more: ``identity.id_typing`` takes it too."""
        cursor.execute(
            "SELECT id FROM identity_idtype WHERE workspace_id = %s AND in_mapping"
            " ORDER BY priority",
            [self.workspace.pk],
        )
        if [pk for (pk,) in cursor.fetchall()] != [id_type.pk for id_type in self.types]:
            raise TypesChangedError

    def _assign_known(self, cursor: CursorWrapper, named: Combinations) -> bool:
        """Find people together with other readers; False when somebody must be made or merged."""
        savepoint = transaction.savepoint()
        locks.shared(self.workspace.pk)
        named.collect(cursor)
        if not self.create:
            named.take_first_owner(cursor)
        elif named.has_undecided(cursor):
            # Two who hold the lock together and each want it alone would wait for each other:
            # give it back first.
            transaction.savepoint_rollback(savepoint)
            return False
        transaction.savepoint_commit(savepoint)
        return True

    def _decide(
        self,
        cursor: CursorWrapper,
        named: Combinations,
        records: Sequence[Record],
        assigned: Assigned,
        *,
        now: datetime,
    ) -> None:
        single = [not id_type.multi_value for id_type in self.types]
        joiner = Joiner(single=single, held=self._held(cursor, records, single))
        decision = joiner.decide(records)
        qaids = self._create_people(cursor, decision.new_people, now=now)

        def qaid(person: int) -> int:
            return person if person < NEW else qaids[person - NEW]

        def owner(person: int | None) -> int | None:
            return None if person is None else qaid(person)

        missing = [None] * (len(staging.SLOTS) - len(self.types))
        staging.place(
            cursor,
            (
                (place.line, qaid(place.person), *map(owner, place.owners), *missing)
                for place in decision.places
            ),
        )
        staging.analyze(cursor, "identity_staged_placed", len(decision.places))
        if decision.merges:
            merging.merge(cursor, decision.merges)
            named.follow_merges(cursor)
        named.write_places(cursor)
        conflicts = [
            conflict._replace(kept=qaid(conflict.kept), other=qaid(conflict.other))
            for conflict in decision.conflicts
        ]
        self._write_conflicts(cursor, conflicts, now=now)
        assigned.people += decision.new_people
        assigned.merged += len(decision.merges)
        assigned.conflicts += len(conflicts)

    def _held(
        self, cursor: CursorWrapper, records: Iterable[Record], single: Sequence[bool]
    ) -> dict[int, dict[int, str]]:
        """Return which values of single-value types the touched people have, by slot."""
        slots = {
            id_type.pk: slot
            for slot, (id_type, one) in enumerate(zip(self.types, single, strict=True))
            if one
        }
        owners = {owner for record in records for owner in record.owners if owner is not None}
        held: dict[int, dict[int, str]] = {}
        if slots and owners:
            cursor.execute(
                "SELECT DISTINCT profile_id, id_type_id, value FROM identity_identifier"
                " WHERE profile_id = ANY(%s) AND id_type_id = ANY(%s)",
                [list(owners), list(slots)],
            )
            for profile_id, id_type_id, value in cursor.fetchall():
                held.setdefault(profile_id, {})[slots[id_type_id]] = value
        return held

    def _create_people(self, cursor: CursorWrapper, count: int, *, now: datetime) -> list[int]:
        if not count:
            return []
        cursor.execute(
            "INSERT INTO identity_profile (workspace_id, tags, tag_times, created_at)"
            " SELECT %s, '{}', '{}', %s FROM generate_series(1, %s) RETURNING qaid",
            [self.workspace.pk, now, count],
        )
        return sorted(qaid for (qaid,) in cursor.fetchall())

    def _write_conflicts(
        self, cursor: CursorWrapper, conflicts: Sequence[Conflict], *, now: datetime
    ) -> None:
        rows = {(each.kept, each.other, each.slot, each.values): each for each in conflicts}
        if not rows:
            return
        found = rows.values()
        cursor.execute(
            "INSERT INTO identity_mappingconflict AS c (workspace_id, data_source_id, detected_at,"
            " times, id_type_id, decided_by_id, kept_id, other_id, values)"
            " SELECT %s, %s, %s, 1, id_type, decided_by, kept, other,"
            " ARRAY[mine, theirs]::varchar[]"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],"
            "   %s::text[], %s::text[]) AS t (id_type, decided_by, kept, other, mine, theirs)"
            " ON CONFLICT (kept_id, other_id, id_type_id, values, data_source_id)"
            " DO UPDATE SET times = c.times + 1, detected_at = excluded.detected_at",
            [
                self.workspace.pk,
                self.data_source_id,
                now,
                [self.types[each.slot].pk for each in found],
                [self.types[each.decided_by].pk for each in found],
                [each.kept for each in found],
                [each.other for each in found],
                [each.values[0] for each in found],
                [each.values[1] for each in found],
            ],
        )

    def _write_lines(self, cursor: CursorWrapper, slots: Sequence[int]) -> None:
        if slots:
            same = " AND ".join(f"t.v{slot} = s.v{slot}" for slot in slots)
            cursor.execute(
                "UPDATE identity_staged s SET profile_id = t.profile_id"
                f" FROM identity_staged_sets t WHERE {same}"
            )
        # Who is not known by a type in ID Mapping may be by another one, if it is his alone.
        cursor.execute(
            "UPDATE identity_staged s SET profile_id = found.profile_id FROM ("
            "  SELECT n.line, CASE WHEN count(DISTINCT i.profile_id) = 1"
            "    THEN min(i.profile_id) ELSE %s END AS profile_id"
            "  FROM identity_staged n CROSS JOIN LATERAL jsonb_each_text(n.others) o"
            "  JOIN identity_identifier i ON i.id_type_id = o.key::bigint AND i.value = o.value"
            "  WHERE n.profile_id IS NULL AND n.others IS NOT NULL GROUP BY n.line"
            ") found WHERE found.line = s.line",
            [AMBIGUOUS],
        )

    def record_identifiers(
        self, cursor: CursorWrapper, *, slots: Sequence[int], others: Sequence[IdType]
    ) -> None:
        """Write down the values of the assigned batch with their owners.

        ``others`` are the types in the lines that are not in ID Mapping.
        """
        for slot in slots:
            merging.upsert_identifiers(
                cursor,
                f"SELECT f{slot}, %s::bigint, v{slot}, %s::bigint,"
                " min(first_seen), max(last_seen)"
                f" FROM identity_staged_sets WHERE v{slot} <> '' AND profile_id > 0"
                # In the order of the primary key, whose pages are then written one by one.
                f" GROUP BY f{slot}, v{slot} ORDER BY f{slot}",
                [self.types[slot - 1].pk, self.data_source_id],
            )
        if not others:
            return
        merging.upsert_identifiers(
            cursor,
            "SELECT profile_id, o.key::bigint, o.value, %s::bigint,"
            " min(seen_at), max(seen_at)"
            " FROM identity_staged CROSS JOIN LATERAL jsonb_each_text(others) o"
            " WHERE others IS NOT NULL AND profile_id > 0 GROUP BY 1, 2, 3",
            [self.data_source_id],
        )
        merging.keep_one_value(
            cursor,
            id_type_ids=[id_type.pk for id_type in others if not id_type.multi_value],
            people="SELECT profile_id FROM identity_staged",
        )
