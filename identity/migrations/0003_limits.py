"""What a constraint cannot say: how many ID types there may be, and which codes never change."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION identity_id_type_limits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Two transactions that each add the last one must see each other.
    PERFORM pg_advisory_xact_lock(hashtext('identity_id_type_limits'), NEW.workspace_id::int);
    IF (SELECT count(*) FROM identity_idtype WHERE workspace_id = NEW.workspace_id) > 50 THEN
        RAISE EXCEPTION 'A workspace has at most 50 ID types.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'identity_id_type_at_most_50';
    END IF;
    IF (SELECT count(*) FROM identity_idtype
        WHERE workspace_id = NEW.workspace_id AND in_mapping) > 5 THEN
        RAISE EXCEPTION 'At most 5 ID types of a workspace take part in ID Mapping.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'identity_id_type_5_in_mapping';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER identity_id_type_limits AFTER INSERT OR UPDATE OF in_mapping, workspace_id
    ON identity_idtype FOR EACH ROW EXECUTE FUNCTION identity_id_type_limits();

CREATE FUNCTION identity_code_is_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The code of % % can never change.', TG_TABLE_NAME, OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER identity_id_type_code_is_fixed BEFORE UPDATE OF code, workspace_id
    ON identity_idtype FOR EACH ROW
    WHEN ((OLD.code, OLD.workspace_id) IS DISTINCT FROM (NEW.code, NEW.workspace_id))
    EXECUTE FUNCTION identity_code_is_fixed();
CREATE TRIGGER identity_tag_code_is_fixed BEFORE UPDATE OF code, workspace_id
    ON identity_tag FOR EACH ROW
    WHEN ((OLD.code, OLD.workspace_id) IS DISTINCT FROM (NEW.code, NEW.workspace_id))
    EXECUTE FUNCTION identity_code_is_fixed();
CREATE TRIGGER identity_event_type_code_is_fixed BEFORE UPDATE OF code, workspace_id
    ON identity_eventtype FOR EACH ROW
    WHEN ((OLD.code, OLD.workspace_id) IS DISTINCT FROM (NEW.code, NEW.workspace_id))
    EXECUTE FUNCTION identity_code_is_fixed();
"""

BACKWARD = """
DROP TRIGGER identity_event_type_code_is_fixed ON identity_eventtype;
DROP TRIGGER identity_tag_code_is_fixed ON identity_tag;
DROP TRIGGER identity_id_type_code_is_fixed ON identity_idtype;
DROP FUNCTION identity_code_is_fixed();
DROP TRIGGER identity_id_type_limits ON identity_idtype;
DROP FUNCTION identity_id_type_limits();
"""


class Migration(migrations.Migration):
    dependencies = [("identity", "0002_events")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
