"""The combinations of mapping values that a batch names, each once, with whom they lead to.

They stand in a temporary table; what is the same for all of them is said in one statement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.backends.utils import CursorWrapper

from identity import staging
from identity.joining import Record
from identity.models import IdType


@dataclass(frozen=True, slots=True)
class Combinations:
    """``types`` are those in ID Mapping by priority, ``slots`` those with values in the batch."""

    workspace_id: int
    types: Sequence[IdType]
    slots: Sequence[int]

    def _type(self, slot: int) -> IdType:
        return self.types[slot - 1]

    def collect(self, cursor: CursorWrapper) -> None:
        """Gather the combinations of values with their owners; those of one owner are decided."""
        if not self.slots:
            return
        values = ", ".join(f"v{slot}" for slot in self.slots)
        columns = ", ".join(f"s.v{slot}" for slot in self.slots)
        owners = ", ".join(f"f{slot}" for slot in self.slots)
        found = ", ".join(f"k{slot}.profile_id" for slot in self.slots)
        joins = " ".join(
            f"LEFT JOIN identity_mappingkey k{slot}"
            f" ON k{slot}.id_type_id = {self._type(slot).pk} AND k{slot}.value = s.v{slot}"
            for slot in self.slots
        )
        unowned = " OR ".join(
            f"(s.v{slot} <> '' AND k{slot}.profile_id IS NULL)" for slot in self.slots
        )
        some = " OR ".join(f"v{slot} <> ''" for slot in self.slots)
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

    def take_first_owner(self, cursor: CursorWrapper) -> None:
        owners = ", ".join(f"f{slot}" for slot in self.slots)
        if owners:
            cursor.execute(
                f"UPDATE identity_staged_sets SET profile_id = coalesce({owners})"
                " WHERE profile_id IS NULL"
            )

    def has_undecided(self, cursor: CursorWrapper) -> bool:
        cursor.execute("SELECT EXISTS (SELECT FROM identity_staged_sets WHERE profile_id IS NULL)")
        return bool(cursor.fetchone() == (True,))

    def make_strangers(self, cursor: CursorWrapper, *, now: datetime) -> int:
        """Make people of the combinations whose values nobody has and no other line names.

        Most lines of a first import are such; nothing has to be decided about them.
        """
        strangers = " AND ".join(
            [
                "t.profile_id IS NULL",
                *(f"t.f{slot} IS NULL" for slot in self.slots),
                *(self._in_one_line(slot) for slot in self.slots if len(self.slots) > 1),
            ]
        )
        owners = ", ".join(f"f{slot} = made.qaid" for slot in self.slots)
        keys = " UNION ALL ".join(
            f"(SELECT {self._type(slot).pk}, v{slot}, profile_id FROM stranger"
            f" WHERE v{slot} <> '' ORDER BY v{slot})"
            for slot in self.slots
        )
        values = ", ".join(f"s.v{slot}" for slot in self.slots)
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
            [self.workspace_id, now],
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
        owners = ", ".join(f"t.f{slot}" for slot in self.slots)
        conditions.append(f"coalesce(least({owners}) = greatest({owners}), false)")
        for slot in self.slots:
            known = f"t.v{slot} = '' OR t.f{slot} IS NOT NULL"
            if self._type(slot).multi_value:
                known += f" OR {self._in_one_line(slot)}"
            conditions.append(f"({known})")
        return " AND ".join(conditions)

    def write_additions(self, cursor: CursorWrapper) -> None:
        """Give additions to their people, who may have been merged in this batch."""
        if len(self.slots) < 2:
            return
        owners = ", ".join(f"t.f{slot}" for slot in self.slots)
        added = ", ".join(f"t.v{n} <> '' AND t.f{n} IS NULL AS adds{n}" for n in self.slots)
        given = ", ".join(f"f{slot} = a.qaid" for slot in self.slots)
        returned = ", ".join(f"s.v{slot}, a.adds{slot}" for slot in self.slots)
        keys = " UNION ALL ".join(
            f"(SELECT {self._type(slot).pk}, v{slot}, profile_id FROM addition"
            f" WHERE adds{slot} ORDER BY v{slot})"
            for slot in self.slots
        )
        cursor.execute(
            f"WITH addition AS (UPDATE identity_staged_sets s SET profile_id = a.qaid, {given}"
            f"   FROM (SELECT t.line, coalesce(p.merged_into_id, p.qaid) AS qaid, {added}"
            "     FROM identity_staged_sets t"
            f"    JOIN identity_profile p ON p.qaid = least({owners}) WHERE {self._addition}) AS a"
            f"   WHERE a.line = s.line RETURNING {returned}, s.profile_id)"
            f" INSERT INTO identity_mappingkey (id_type_id, value, profile_id) {keys}"
        )

    def undecided(self, cursor: CursorWrapper) -> list[Record]:
        every = range(1, len(self.types) + 1)
        columns = ", ".join(f"{name}{slot}" for name in ("v", "f") for slot in every)
        cursor.execute(
            f"SELECT line, {columns} FROM identity_staged_sets t"
            f" WHERE profile_id IS NULL AND NOT ({self._addition}) ORDER BY line"
        )
        count = len(self.types)
        return [Record(row[0], row[1 : count + 1], row[count + 1 :]) for row in cursor.fetchall()]

    def follow_merges(self, cursor: CursorWrapper) -> None:
        """A combination that was decided already may name somebody who has been merged now."""
        owners = ", ".join(f"f{slot} = p.merged_into_id" for slot in self.slots)
        cursor.execute(
            f"UPDATE identity_staged_sets s SET profile_id = p.merged_into_id, {owners}"
            " FROM identity_profile p"
            " WHERE p.qaid = s.profile_id AND p.merged_into_id IS NOT NULL"
        )

    def write_places(self, cursor: CursorWrapper) -> None:
        """Give the values that nobody had to their owners, and the combinations to their people."""
        for slot in self.slots:
            cursor.execute(
                "INSERT INTO identity_mappingkey (id_type_id, value, profile_id)"
                f" SELECT %s, s.v{slot}, min(p.f{slot}) FROM identity_staged_sets s"
                " JOIN identity_staged_placed p USING (line)"
                f" WHERE s.v{slot} <> '' AND s.f{slot} IS NULL GROUP BY s.v{slot}"
                f" ORDER BY s.v{slot}",
                [self._type(slot).pk],
            )
        owners = ", ".join(f"f{slot} = p.f{slot}" for slot in self.slots)
        cursor.execute(
            f"UPDATE identity_staged_sets s SET profile_id = p.profile_id, {owners}"
            " FROM identity_staged_placed p WHERE p.line = s.line"
        )
