"""Two roles on one database.

The *owner* migrates and owns every table. The *run-time role* reads and writes rows and nothing
else: no superuser, no BYPASSRLS, owner of nothing, so a hole in the application cannot drop a
trigger, change a table or read past a policy. What needs more at run time (making and dropping
partitions) is a SECURITY DEFINER function that a migration makes; functions may be executed by all.

`manage.py migrate` calls `grant` at its end, as the owner. Making the roles themselves is the work
of the database's administrator (docs/how-to/run-on-servers.md has the statements); the embedded
cluster makes its own.
"""

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg2 import sql

_GRANTS = """
GRANT USAGE ON SCHEMA public TO {runtime};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {runtime};
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {runtime};
-- What the owner makes later, partitions for instance.
ALTER DEFAULT PRIVILEGES IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {runtime};
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {runtime};
-- Which migrations ran is the owner's to say.
REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {runtime};
"""


def grant(connection: BaseDatabaseWrapper) -> bool:
    """Give the run-time role its rights; False when one role does both jobs."""
    runtime = settings.DATABASE_ROLES["runtime"]["USER"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        if cursor.fetchone() == (runtime,):
            return False
        cursor.execute(sql.SQL(_GRANTS).format(runtime=sql.Identifier(runtime)))
    return True
