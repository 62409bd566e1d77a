"""The audit trail can only grow: the database refuses to change or delete an entry."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION workspaces_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit trail is append-only.' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER workspaces_audit_append_only
    BEFORE UPDATE OR DELETE ON workspaces_auditentry
    FOR EACH ROW EXECUTE FUNCTION workspaces_audit_refuse();
"""

BACKWARD = """
DROP TRIGGER workspaces_audit_append_only ON workspaces_auditentry;
DROP FUNCTION workspaces_audit_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("workspaces", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
