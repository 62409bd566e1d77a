"""The trail can only grow, and holds no secret."""

import re

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import translation

from tests.factories import make_administrator, make_user, make_workspace
from workspaces import api_keys, audit
from workspaces.choices import Via
from workspaces.models import AuditEntry

pytestmark = pytest.mark.django_db


def refused(statement: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except DatabaseError:
        return True
    return False


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE workspaces_auditentry SET action = 'nothing'",
        "DELETE FROM workspaces_auditentry",
        "ALTER TABLE workspaces_auditentry DISABLE TRIGGER workspaces_audit_append_only",
        "DROP TRIGGER workspaces_audit_append_only ON workspaces_auditentry",
        "SET session_replication_role = 'replica'",
    ],
)
def test_the_database_refuses_to_change_an_entry(statement: str) -> None:
    make_workspace()

    assert AuditEntry.objects.exists()
    assert refused(statement)


def test_an_entry_outlives_who_did_it_and_what_it_speaks_of() -> None:
    workspace = make_workspace()
    user = make_user(name="Li Mei", email="li@example.com")
    entry = audit.record(actor=user, workspace=workspace, action="tag.deleted", obj=workspace)

    user.delete()

    entry = AuditEntry.objects.get(pk=entry.pk)
    assert entry.actor_label == "Li Mei <li@example.com>"


def test_who_is_told_in_the_language_of_the_reader(client: Client) -> None:
    workspace = make_workspace()
    administrator = make_administrator(workspace, language="zh-hans")
    with translation.override("zh-hans"):
        audit.record(
            actor=None, workspace=workspace, action="webhook.paused", obj=None, via=Via.SYSTEM
        )
    client.force_login(administrator)

    page = client.get(reverse("admin:workspaces_auditentry_changelist")).content.decode()

    assert AuditEntry.objects.latest("pk").actor_label == "System"
    assert re.search(r'<td[^>]* class="field-who">系统</td>', page)


@pytest.mark.parametrize(
    ("language", "said"), [("en", "Kind, fingerprint"), ("zh-hans", "类别、指纹")]
)
def test_what_no_model_has_is_named_in_the_readers_words(language: str, said: str) -> None:
    entry = AuditEntry(object_type="webhooks.webhook", changes={"kind": "", "fingerprint": ""})

    with translation.override(language):
        assert entry.changed == said


def test_a_snapshot_tells_that_a_secret_changed_and_not_which() -> None:
    workspace = make_workspace()
    key = api_keys.create(workspace=workspace, name="CRM", scopes=[], actor=None).key
    before = audit.snapshot(key)
    key.hash, key.name = "f" * 64, "CRM 2"

    changes = audit.difference(before, audit.snapshot(key))
    entry = audit.record(
        actor=None, workspace=workspace, action="api_key.changed", obj=key, changes=changes
    )

    assert entry.changes == {"name": ["CRM", "CRM 2"], "hash": [audit.MASKED, audit.MASKED]}


def test_an_entry_names_the_door_of_its_block() -> None:
    workspace = make_workspace()

    with audit.through(Via.COMMAND):
        inside = audit.record(actor=None, workspace=workspace, action="x", obj=None)
    outside = audit.record(actor=None, workspace=workspace, action="x", obj=None)

    assert (inside.via, outside.via) == (Via.COMMAND, Via.SYSTEM)


def test_an_entry_belongs_to_the_workspaces_organization() -> None:
    workspace = make_workspace()

    entry = audit.record(
        actor=make_administrator(workspace), workspace=workspace, action="x", obj=None
    )

    assert entry.organization == workspace.organization


def test_an_unsaved_change_leaves_no_entry() -> None:
    workspace = make_workspace()
    before = AuditEntry.objects.count()

    with transaction.atomic():
        api_keys.create(workspace=workspace, name="CRM", scopes=[], actor=None)
        transaction.set_rollback(True)

    assert AuditEntry.objects.count() == before
