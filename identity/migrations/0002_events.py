"""Events, partitioned by the month they occurred in, and functions that keep the partitions.

The run-time role does not own the tables and so cannot make partitions; these functions,
which run with their owner's rights, can do that and nothing else.
"""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
CREATE TABLE identity_event (
    workspace_id bigint NOT NULL,
    event_id varchar(100) NOT NULL,
    occurred_at timestamptz NOT NULL,
    event_type_id bigint NOT NULL,
    profile_id bigint NOT NULL,
    received_at timestamptz NOT NULL,
    attributes jsonb NOT NULL,
    PRIMARY KEY (workspace_id, event_id, occurred_at)
) PARTITION BY RANGE (occurred_at);

CREATE INDEX identity_event_of_profile
    ON identity_event (profile_id, event_type_id, occurred_at);
CREATE INDEX identity_event_of_type
    ON identity_event (event_type_id, occurred_at, profile_id);

CREATE TABLE identity_event_default PARTITION OF identity_event DEFAULT;

-- Make the partition of the month (UTC) that holds a day; false when it was there.
-- It is made apart and attached, since CREATE ... PARTITION OF would lock out every reader.
CREATE FUNCTION identity_event_partition_create(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    first date := date_trunc('month', day)::date;
    lower_bound timestamptz := first::timestamp AT TIME ZONE 'UTC';
    upper_bound timestamptz := (first + interval '1 month') AT TIME ZONE 'UTC';
    partition text := 'identity_event_' || to_char(first, 'YYYY_MM');
BEGIN
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('identity_event_partition'));
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE identity_event INCLUDING DEFAULTS)', partition);
    EXECUTE format(
        'WITH moved AS (DELETE FROM identity_event_default'
        ' WHERE occurred_at >= $1 AND occurred_at < $2 RETURNING *)'
        ' INSERT INTO %I SELECT * FROM moved', partition
    ) USING lower_bound, upper_bound;
    EXECUTE format(
        'ALTER TABLE identity_event ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        partition, lower_bound, upper_bound
    );
    RETURN true;
END
$$;

-- Drop the partition of a month whole; false when there is none.
CREATE FUNCTION identity_event_partition_drop(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    partition text := 'identity_event_' || to_char(day, 'YYYY_MM');
BEGIN
    IF to_regclass(partition) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE %I', partition);
    RETURN true;
END
$$;

-- After a large import: without statistics a query can be hundreds of times slower. A table
-- whose statistics are of much the same rows is left alone.
CREATE FUNCTION identity_analyze() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    changed name;
BEGIN
    FOR changed IN
        SELECT DISTINCT coalesce(parent.relname, c.relname)
        FROM pg_class c
        LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
        LEFT JOIN pg_class parent ON parent.oid = i.inhparent
        WHERE (parent.oid = 'identity_event'::regclass OR c.oid IN (
                'identity_profile'::regclass, 'identity_identifier'::regclass,
                'identity_mappingkey'::regclass, 'identity_audiencemember'::regclass))
          AND c.relkind = 'r'
          AND (c.reltuples < 1000 AND pg_relation_size(c.oid) > 100 * 8192
               OR pg_stat_get_mod_since_analyze(c.oid) > 5000 + c.reltuples * 0.2)
    LOOP
        EXECUTE format('ANALYZE %I', changed);
    END LOOP;
END
$$;

-- A definer's function must not look names up where its caller can put others.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'identity_event_partition_create(date)',
        'identity_event_partition_drop(date)',
        'identity_analyze()'
    ] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
END
$$;
"""

BACKWARD = """
DROP FUNCTION identity_analyze();
DROP FUNCTION identity_event_partition_drop(date);
DROP FUNCTION identity_event_partition_create(date);
DROP TABLE identity_event;
"""


class Migration(migrations.Migration):
    dependencies = [("identity", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.CreateModel(
                    name="Event",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "workspace_id",
                                "event_id",
                                "occurred_at",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("event_id", models.CharField(max_length=100)),
                        ("occurred_at", models.DateTimeField()),
                        ("received_at", models.DateTimeField()),
                        ("attributes", models.JSONField(default=dict)),
                        (
                            "workspace",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="workspaces.workspace",
                            ),
                        ),
                        (
                            "event_type",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="identity.eventtype",
                            ),
                        ),
                        (
                            "profile",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="identity.profile",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "event",
                        "verbose_name_plural": "events",
                    },
                ),
                migrations.AddIndex(
                    model_name="event",
                    index=models.Index(
                        fields=["profile", "event_type", "occurred_at"],
                        name="identity_event_of_profile",
                    ),
                ),
                migrations.AddIndex(
                    model_name="event",
                    index=models.Index(
                        fields=["event_type", "occurred_at", "profile"],
                        name="identity_event_of_type",
                    ),
                ),
            ],
        ),
    ]
