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
    # The slots that the batch in hand has values in.
    _slots: Sequence[int] = ()

    def assign(
        self, cursor: CursorWrapper, *, slots: Sequence[int], lines: bool = True, now: datetime
    ) -> Assigned:
        """Find or make the people of the staged lines, which have values in ``slots``.

        Fills ``profile_id`` of each combination of values and, with ``lines``, of each line;
        NULL where nobody is known. Holds the workspace's lock to the end of the transaction.
        """
        self._slots = slots
        assigned = Assigned()
        if (self.many_new and self.create) or not self._assign_known(cursor):
            locks.exclusive(self.workspace.pk)
            self._collect(cursor)
            if self._slots:
                assigned.people = self._make_strangers(cursor, now=now)
                if records := self._undecided(cursor):
                    self._decide(cursor, records, assigned, now=now)
                self._write_additions(cursor)
        self._check_types(cursor)
        if lines:
            self._write_lines(cursor)
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

    def _assign_known(self, cursor: CursorWrapper) -> bool:
        """Find people together with other readers; False when somebody must be made or merged."""
        savepoint = transaction.savepoint()
        locks.shared(self.workspace.pk)
        self._collect(cursor)
        if not self.create:
            self._take_first_owner(cursor)
        elif self._has_undecided(cursor):
            # Two who hold the lock together and each want it alone would wait for each other:
            # give it back first.
            transaction.savepoint_rollback(savepoint)
            return False
        transaction.savepoint_commit(savepoint)
        return True

    def _collect(self, cursor: CursorWrapper) -> None:
        """Gather the combinations of values with their owners; those of one owner are decided."""
        if not self._slots:
            return
        values = ", ".join(f"v{slot}" for slot in self._slots)
        columns = ", ".join(f"s.v{slot}" for slot in self._slots)
        owners = ", ".join(f"f{slot}" for slot in self._slots)
        found = ", ".join(f"k{slot}.profile_id" for slot in self._slots)
        joins = " ".join(
            f"LEFT JOIN identity_mappingkey k{slot}"
            f" ON k{slot}.id_type_id = {self.types[slot - 1].pk} AND k{slot}.value = s.v{slot}"
            for slot in self._slots
        )
        unowned = " OR ".join(
            f"(s.v{slot} <> '' AND k{slot}.profile_id IS NULL)" for slot in self._slots
        )
        some = " OR ".join(f"v{slot} <> ''" for slot in self._slots)
        cursor.execute(
            "INSERT INTO identity_staged_sets"
            f" (line, {values}, first_seen, last_seen, {owners}, profile_id)"
            f" SELECT s.line, {columns}, s.first_seen, s.last_seen, {found},"
            f" CASE WHEN NOT ({unowned})"
            f" AND least({found}) = greatest({found}) THEN least({found}) END"
            f" FROM (SELECT min(line) AS line, {values}, min(seen_at) AS first_seen,"
            f" max(seen_at) AS last_seen FROM identity_staged"
            f" WHERE {some} GROUP BY {values}) s {joins}"
        )
        staging.analyze(cursor, "identity_staged_sets", cursor.rowcount)

    def _take_first_owner(self, cursor: CursorWrapper) -> None:
        owners = ", ".join(f"f{slot}" for slot in self._slots)
        if owners:
            cursor.execute(
                f"UPDATE identity_staged_sets SET profile_id = coalesce({owners})"
                " WHERE profile_id IS NULL"
            )

    def _has_undecided(self, cursor: CursorWrapper) -> bool:
        cursor.execute("SELECT EXISTS (SELECT FROM identity_staged_sets WHERE profile_id IS NULL)")
        return bool(cursor.fetchone() == (True,))

    def _make_strangers(self, cursor: CursorWrapper, *, now: datetime) -> int:
        """Make people of the combinations whose values nobody has and no other line names.

        Most lines of a first import are such; nothing has to be decided about them.
        """
        strangers = " AND ".join(
            [
                "t.profile_id IS NULL",
                *(f"t.f{slot} IS NULL" for slot in self._slots),
                *(self._in_one_line(slot) for slot in self._slots if len(self._slots) > 1),
            ]
        )
        owners = ", ".join(f"f{slot} = made.qaid" for slot in self._slots)
        keys = " UNION ALL ".join(
            f"(SELECT {self.types[slot - 1].pk}, v{slot}, profile_id FROM stranger"
            f" WHERE v{slot} <> '' ORDER BY v{slot})"
            for slot in self._slots
        )
        values = ", ".join(f"s.v{slot}" for slot in self._slots)
        cursor.execute(
            f"WITH stranger AS (UPDATE identity_staged_sets s SET profile_id = made.qaid, {owners}"
            "   FROM (SELECT line, nextval('identity_profile_qaid_seq') AS qaid FROM ("
            f"     SELECT t.line FROM identity_staged_sets t WHERE {strangers} ORDER BY t.line"
            "   ) AS waiting) AS made"
            f"   WHERE made.line = s.line RETURNING {values}, s.profile_id),"
            " profile AS (INSERT INTO identity_profile"
            "   (qaid, workspace_id, tags, tag_times, created_at)"
            "   SELECT profile_id, %s, '{}', '{}', %s FROM stranger),"
            " key AS (INSERT INTO identity_mappingkey (id_type_id, value, profile_id)"
            f"  {keys})"
            " SELECT count(*) FROM stranger",
            [self.workspace.pk, now],
        )
        (made,) = cursor.fetchone()
        return int(made)

    def _in_one_line(self, slot: int) -> str:
        return (
            f"t.v{slot} NOT IN (SELECT v{slot} FROM identity_staged_sets WHERE v{slot} <> ''"
            f" GROUP BY v{slot} HAVING count(*) > 1)"
        )

    @property
    def _addition(self) -> str:
        """The condition for combinations that only add values to one person whom they name.

        Nobody has the other values, no other line names them, and he may have several.
        """
        conditions = ["t.profile_id IS NULL"]
        owners = ", ".join(f"t.f{slot}" for slot in self._slots)
        conditions.append(f"coalesce(least({owners}) = greatest({owners}), false)")
        for slot in self._slots:
            known = f"t.v{slot} = '' OR t.f{slot} IS NOT NULL"
            if self.types[slot - 1].multi_value:
                known += f" OR {self._in_one_line(slot)}"
            conditions.append(f"({known})")
        return " AND ".join(conditions)

    def _write_additions(self, cursor: CursorWrapper) -> None:
        """Give additions to their people, who may have been merged in this batch."""
        if len(self._slots) < 2:
            return
        owners = ", ".join(f"t.f{slot}" for slot in self._slots)
        added = ", ".join(f"t.v{n} <> '' AND t.f{n} IS NULL AS adds{n}" for n in self._slots)
        given = ", ".join(f"f{slot} = a.qaid" for slot in self._slots)
        returned = ", ".join(f"s.v{slot}, a.adds{slot}" for slot in self._slots)
        keys = " UNION ALL ".join(
            f"(SELECT {self.types[slot - 1].pk}, v{slot}, profile_id FROM addition"
            f" WHERE adds{slot} ORDER BY v{slot})"
            for slot in self._slots
        )
        cursor.execute(
            f"WITH addition AS (UPDATE identity_staged_sets s SET profile_id = a.qaid, {given}"
            f"   FROM (SELECT t.line, coalesce(p.merged_into_id, p.qaid) AS qaid, {added}"
            "     FROM identity_staged_sets t"
            f"    JOIN identity_profile p ON p.qaid = least({owners}) WHERE {self._addition}) AS a"
            f"   WHERE a.line = s.line RETURNING {returned}, s.profile_id)"
            f" INSERT INTO identity_mappingkey (id_type_id, value, profile_id) {keys}"
        )

    def _undecided(self, cursor: CursorWrapper) -> list[Record]:
        every = range(1, len(self.types) + 1)
        columns = ", ".join(f"{name}{slot}" for name in ("v", "f") for slot in every)
        cursor.execute(
            f"SELECT line, {columns} FROM identity_staged_sets t"
            f" WHERE profile_id IS NULL AND NOT ({self._addition}) ORDER BY line"
        )
        count = len(self.types)
        return [Record(row[0], row[1 : count + 1], row[count + 1 :]) for row in cursor.fetchall()]

    def _decide(
        self,
        cursor: CursorWrapper,
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
            self._follow_merges(cursor)
        self._write_places(cursor)
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

    def _follow_merges(self, cursor: CursorWrapper) -> None:
        """A combination that was decided already may name somebody who has been merged now."""
        owners = ", ".join(f"f{slot} = p.merged_into_id" for slot in self._slots)
        cursor.execute(
            f"UPDATE identity_staged_sets s SET profile_id = p.merged_into_id, {owners}"
            " FROM identity_profile p"
            " WHERE p.qaid = s.profile_id AND p.merged_into_id IS NOT NULL"
        )

    def _write_places(self, cursor: CursorWrapper) -> None:
        """Give the values that nobody had to their owners, and the combinations to their people."""
        for slot in self._slots:
            cursor.execute(
                "INSERT INTO identity_mappingkey (id_type_id, value, profile_id)"
                f" SELECT %s, s.v{slot}, min(p.f{slot}) FROM identity_staged_sets s"
                " JOIN identity_staged_placed p USING (line)"
                f" WHERE s.v{slot} <> '' AND s.f{slot} IS NULL GROUP BY s.v{slot}"
                f" ORDER BY s.v{slot}",
                [self.types[slot - 1].pk],
            )
        owners = ", ".join(f"f{slot} = p.f{slot}" for slot in self._slots)
        cursor.execute(
            f"UPDATE identity_staged_sets s SET profile_id = p.profile_id, {owners}"
            " FROM identity_staged_placed p WHERE p.line = s.line"
        )

    def _write_conflicts(
        self, cursor: CursorWrapper, conflicts: Sequence[Conflict], *, now: datetime
    ) -> None:
        for conflict in conflicts:
            cursor.execute(
                "INSERT INTO identity_mappingconflict (workspace_id, id_type_id, decided_by_id,"
                " values, kept_id, other_id, data_source_id, detected_at, times)"
                " VALUES (%s, %s, %s, %s::varchar[], %s, %s, %s, %s, 1)"
                " ON CONFLICT (kept_id, other_id, id_type_id, values, data_source_id)"
                " DO UPDATE SET times = identity_mappingconflict.times + 1,"
                " detected_at = excluded.detected_at",
                [
                    self.workspace.pk,
                    self.types[conflict.slot].pk,
                    self.types[conflict.decided_by].pk,
                    list(conflict.values),
                    conflict.kept,
                    conflict.other,
                    self.data_source_id,
                    now,
                ],
            )

    def _write_lines(self, cursor: CursorWrapper) -> None:
        if self._slots:
            same = " AND ".join(f"t.v{slot} = s.v{slot}" for slot in self._slots)
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

    def record_identifiers(self, cursor: CursorWrapper, *, others: Sequence[IdType]) -> None:
        """Write down the values of the assigned batch with their owners.

        ``others`` are the types in the lines that are not in ID Mapping.
        """
        for slot in self._slots:
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
