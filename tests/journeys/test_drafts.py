import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from journeys import drafts
from journeys.components.webhook import WebhookConfig
from journeys.definition import Document
from journeys.drafts import StaleDraft
from journeys.models import Journey
from tests.journeys.factories import NICKNAME, NOW, Scene, grant, make_scene
from tests.webhooks.factories import make_administrator, make_member, make_webhook
from webhooks.models import WebhookUse
from workspaces.choices import Preset
from workspaces.models import AuditEntry, Membership, WorkspaceGroupObjectPermission

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return make_scene()


def steps_of(journey: Journey) -> list[str]:
    return [step.name for step in Document.from_json(journey.draft).steps]


def test_a_document_survives_the_way_to_json_and_back(scene: Scene) -> None:
    journey = scene.journey()
    document = Document.from_json(journey.draft)

    assert Document.from_json(document.to_json()) == document
    assert document.start is not None
    assert document.after(document.start.key) == document.steps[0]
    assert document.after(document.steps[0].key) is None


def test_steps_are_added_moved_copied_and_deleted(scene: Scene) -> None:
    journey = scene.journey(steps=[scene.config(), scene.config()])
    first, second = Document.from_json(journey.draft).steps
    common: dict[str, Any] = {"journey": journey, "user": scene.member, "now": NOW}

    drafts.move_step(revision=journey.draft_revision, key=first.key, after=second.key, **common)
    assert steps_of(journey) == ["Step 2", "Step 1"]

    drafts.move_step(revision=journey.draft_revision, key=first.key, after=None, **common)
    assert steps_of(journey) == ["Step 1", "Step 2"]

    copied = drafts.copy_step(revision=journey.draft_revision, key=first.key, **common)
    assert steps_of(journey) == ["Step 1", "Step 1 (copy)", "Step 2"]
    assert copied.step is not None
    assert copied.step.config == first.config
    assert copied.step.key != first.key

    drafts.delete_step(revision=journey.draft_revision, key=copied.step.key, **common)
    assert steps_of(journey) == ["Step 1", "Step 2"]


def test_a_stale_write_says_who_changed_what_and_changes_nothing(scene: Scene) -> None:
    journey = scene.journey()
    mine = Journey.objects.get(pk=journey.pk)
    other = make_administrator(scene.workspace, name="Li Mei")
    (step,) = Document.from_json(journey.draft).steps
    drafts.save_step(
        journey=journey,
        revision=journey.draft_revision,
        user=other,
        key=step.key,
        name="Hers",
        config=scene.config(values={"content": "Hers ${name}"}),
        now=NOW,
    )

    with pytest.raises(StaleDraft) as caught:
        drafts.save_step(
            journey=mine,
            revision=mine.draft_revision,
            user=scene.member,
            key=step.key,
            name="Mine",
            config=scene.config(values={"content": "Mine ${name}"}),
            now=NOW,
        )

    stale = caught.value
    at = timezone.localtime(stale.changed_at, scene.workspace.zone)
    assert stale.message == f"Li Mei changed this step at {at:%H:%M}."
    assert stale.is_same_step
    assert stale.theirs is not None
    assert stale.theirs.name == "Hers"
    assert steps_of(Journey.objects.get(pk=journey.pk)) == ["Hers"]
    found = drafts.differences(
        stale.theirs, "Mine", scene.config(values={"content": "Mine ${name}"})
    )
    assert found == {
        "name": ("Hers", "Mine"),
        "parameter:content": ("Hers ${name}", "Mine ${name}"),
    }


def test_a_write_to_a_step_that_was_deleted_says_so(scene: Scene) -> None:
    journey = scene.journey()
    mine = Journey.objects.get(pk=journey.pk)
    (step,) = Document.from_json(journey.draft).steps
    drafts.delete_step(
        journey=journey,
        revision=journey.draft_revision,
        user=scene.member,
        key=step.key,
        now=NOW,
    )

    with pytest.raises(StaleDraft, match="deleted this step at"):
        drafts.save_step(
            journey=mine,
            revision=mine.draft_revision,
            user=scene.member,
            key=step.key,
            name="Mine",
            config=step.config,
            now=NOW,
        )


@pytest.mark.django_db(transaction=True)
def test_of_two_writes_at_once_one_is_refused(scene: Scene) -> None:
    journey = scene.journey()
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def rename(name: str) -> None:
        try:
            mine = Journey.objects.get(pk=journey.pk)
            barrier.wait()
            drafts.rename(
                journey=mine,
                revision=mine.draft_revision,
                user=scene.member,
                name=name,
                now=NOW,
            )
            outcomes.append("written")
        except StaleDraft:
            outcomes.append("stale")
        finally:
            connection.close()

    threads = [threading.Thread(target=rename, args=(name,)) for name in ("One", "Two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["stale", "written"]


def test_undo_brings_back_a_deleted_step_and_undoing_that_redoes_it(scene: Scene) -> None:
    journey = scene.journey()
    (step,) = Document.from_json(journey.draft).steps
    common: dict[str, Any] = {"journey": journey, "user": scene.member, "now": NOW}
    deleted = drafts.delete_step(revision=journey.draft_revision, key=step.key, **common)
    assert steps_of(journey) == []

    undone = drafts.undo(revision=deleted.revision, **common)
    assert undone.document.steps == (step,)

    drafts.undo(revision=undone.revision, **common)
    assert steps_of(journey) == []


def test_undo_of_what_somebody_else_has_built_upon_is_stale(scene: Scene) -> None:
    journey = scene.journey()
    (step,) = Document.from_json(journey.draft).steps
    common: dict[str, Any] = {"journey": journey, "user": scene.member, "now": NOW}
    deleted = drafts.delete_step(revision=journey.draft_revision, key=step.key, **common)
    drafts.rename(revision=deleted.revision, name="New name", **common)

    with pytest.raises(StaleDraft):
        drafts.undo(revision=deleted.revision, **common)


def test_changes_are_undone_one_after_the_other(scene: Scene) -> None:
    journey = scene.journey(steps=[scene.config(), scene.config()])
    first, second = Document.from_json(journey.draft).steps
    common: dict[str, Any] = {"journey": journey, "user": scene.member, "now": NOW}
    deleted = drafts.delete_step(revision=journey.draft_revision, key=second.key, **common)
    emptied = drafts.delete_step(revision=deleted.revision, key=first.key, **common)

    with pytest.raises(StaleDraft):
        drafts.undo(revision=deleted.revision, **common)
    drafts.undo(revision=emptied.revision, **common)
    assert steps_of(journey) == ["Step 1"]
    undone = drafts.undo(revision=deleted.revision, **common)

    assert undone.document.steps == (first, second)


def test_undo_of_a_rename_brings_back_the_name(scene: Scene) -> None:
    journey = scene.journey()
    common: dict[str, Any] = {"journey": journey, "user": scene.member, "now": NOW}

    renamed = drafts.rename(revision=journey.draft_revision, name=" Autumn ", **common)
    assert journey.name == "Autumn"

    drafts.undo(revision=renamed.revision, **common)
    assert Journey.objects.get(pk=journey.pk).name == "Welcome"


def test_there_is_nothing_to_undo_before_the_first_change(scene: Scene) -> None:
    journey = drafts.create(workspace=scene.workspace, user=scene.member, name="New", now=NOW)

    with pytest.raises(ValidationError, match="nothing to undo"):
        drafts.undo(journey=journey, revision=0, user=scene.member, now=NOW)


def test_a_saved_step_keeps_the_revision_and_only_variables_of_its_texts(scene: Scene) -> None:
    journey = scene.journey()
    (step,) = Document.from_json(journey.draft).steps
    unused = replace(NICKNAME, name="unused")

    saved = drafts.save_step(
        journey=journey,
        revision=journey.draft_revision,
        user=scene.member,
        key=step.key,
        name="Step",
        config=scene.config(variables={"content": (NICKNAME, unused)}),
        now=NOW,
    )

    assert saved.step is not None
    config = WebhookConfig.from_json(saved.step.config)
    assert config.revision == scene.webhook.revision == 1
    assert config.variables == {"content": (NICKNAME,)}


def test_an_incomplete_step_is_kept_as_it_is(scene: Scene) -> None:
    journey = scene.journey(steps=[WebhookConfig().to_json()])

    (step,) = Document.from_json(journey.draft).steps
    assert WebhookConfig.from_json(step.config) == WebhookConfig()


# --- Both gates when a step is saved --------------------------------------------------------------


@pytest.mark.parametrize("action", ["add", "save", "copy", "undo", "duplicate"])
@pytest.mark.parametrize("gate", ["role", "usage", "ended"])
def test_no_write_puts_a_webhook_into_a_step_without_both_gates(
    scene: Scene, gate: str, action: str
) -> None:
    journey = scene.journey()
    (step,) = Document.from_json(journey.draft).steps
    member = scene.member
    if action == "undo":
        drafts.delete_step(
            journey=journey,
            revision=journey.draft_revision,
            user=member,
            key=step.key,
            now=NOW,
        )
    if gate == "role":
        role = scene.workspace.roles.get(preset=Preset.MARKETER)
        WorkspaceGroupObjectPermission.objects.filter(
            group=role.group, permission__codename="reach_marketing_webhook"
        ).delete()
    elif gate == "usage":
        scene.webhook.membergrant_set.all().delete()
    else:
        scene.webhook.membergrant_set.update(ends_at=timezone.now() - timedelta(seconds=1))
    before = Journey.objects.get(pk=journey.pk).draft
    common: dict[str, Any] = {
        "journey": journey,
        "revision": journey.draft_revision,
        "user": member,
        "now": NOW,
    }

    writes: dict[str, Callable[[], object]] = {
        "add": lambda: drafts.add_step(
            component="webhook", after=None, config=scene.config(), **common
        ),
        "save": lambda: drafts.save_step(key=step.key, name="", config=scene.config(), **common),
        "copy": lambda: drafts.copy_step(key=step.key, **common),
        "undo": lambda: drafts.undo(**common),
        "duplicate": lambda: drafts.duplicate(journey=journey, user=member, now=NOW),
    }

    with pytest.raises(PermissionDenied, match="permission"):
        writes[action]()

    assert Journey.objects.get(pk=journey.pk).draft == before
    assert Journey.objects.count() == 1


def test_a_step_of_a_webhook_one_may_not_use_cannot_be_changed_to_another(scene: Scene) -> None:
    journey = scene.journey()
    (step,) = Document.from_json(journey.draft).steps
    other = make_webhook(scene.workspace)
    colleague = make_member(scene.workspace)
    grant(colleague, other)

    with pytest.raises(PermissionDenied, match="usage permission"):
        drafts.save_step(
            journey=journey,
            revision=journey.draft_revision,
            user=colleague,
            key=step.key,
            name="",
            config=WebhookConfig(webhook=other.pk).to_json(),
            now=NOW,
        )


def test_an_administrator_needs_no_usage_permission(scene: Scene) -> None:
    administrator = make_administrator(scene.workspace)
    journey = drafts.create(workspace=scene.workspace, user=administrator, name="New", now=NOW)

    drafts.add_step(
        journey=journey,
        revision=0,
        user=administrator,
        component="webhook",
        after=None,
        config=scene.config(),
        now=NOW,
    )

    assert WebhookUse.objects.filter(webhook=scene.webhook, journey_id=journey.pk).exists()


def test_another_tenants_webhook_does_not_exist_here(scene: Scene) -> None:
    foreign = make_scene()
    journey = scene.journey()

    with pytest.raises(ValidationError, match="no longer exists"):
        drafts.add_step(
            journey=journey,
            revision=journey.draft_revision,
            user=scene.member,
            component="webhook",
            after=None,
            config=scene.config(webhook=foreign.webhook.pk),
            now=NOW,
        )


def test_nobody_edits_without_the_permission_for_journeys(scene: Scene) -> None:
    journey = scene.journey()
    analyst = make_member(scene.workspace, Preset.ANALYST)

    with pytest.raises(PermissionDenied):
        drafts.rename(
            journey=journey,
            revision=journey.draft_revision,
            user=analyst,
            name="x",
            now=NOW,
        )
    Membership.objects.filter(user=scene.member).update(is_active=False)
    with pytest.raises(PermissionDenied):
        drafts.create(workspace=scene.workspace, user=scene.member, name="x", now=NOW)


# --- Uses, copies, names --------------------------------------------------------------------------


def test_uses_of_webhooks_follow_the_draft(scene: Scene) -> None:
    journey = scene.journey()
    (step,) = Document.from_json(journey.draft).steps
    use = WebhookUse.objects.get(webhook=scene.webhook)
    assert (use.journey_id, use.journey_name, use.is_live) == (journey.pk, "Welcome", False)
    assert use.url == f"/w/{scene.workspace.slug}/journeys/{journey.pk}/"

    common: dict[str, Any] = {"journey": journey, "user": scene.member, "now": NOW}
    drafts.rename(revision=journey.draft_revision, name="Autumn", **common)
    assert WebhookUse.objects.get(webhook=scene.webhook).journey_name == "Autumn"

    drafts.delete_step(revision=journey.draft_revision, key=step.key, **common)
    assert not WebhookUse.objects.filter(webhook=scene.webhook).exists()


def test_a_duplicate_has_steps_of_its_own(scene: Scene) -> None:
    journey = scene.journey()

    copy = drafts.duplicate(journey=journey, user=scene.member, now=NOW)

    assert copy.name == "Welcome (copy)"
    (mine,), (its,) = (Document.from_json(each.draft).steps for each in (journey, copy))
    assert its.config == mine.config
    assert its.key != mine.key
    assert AuditEntry.objects.filter(action="journey.duplicated", object_id=str(copy.pk)).exists()


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_journey_has_a_name_of_1_to_200_characters(scene: Scene, name: str) -> None:
    with pytest.raises(ValidationError):
        drafts.create(workspace=scene.workspace, user=scene.member, name=name, now=NOW)


def test_a_step_is_never_put_behind_one_that_is_gone(scene: Scene) -> None:
    journey = scene.journey()

    with pytest.raises(ValidationError, match="is gone"):
        drafts.add_step(
            journey=journey,
            revision=journey.draft_revision,
            user=scene.member,
            component="webhook",
            after=uuid4(),
            now=NOW,
        )


def test_archiving_takes_a_journey_out_once(scene: Scene) -> None:
    journey = scene.journey()

    drafts.archive(journey=journey, user=scene.member)
    drafts.archive(journey=journey, user=scene.member)

    assert Journey.objects.get(pk=journey.pk).is_archived
    assert AuditEntry.objects.filter(action="journey.archived").count() == 1


def test_a_save_costs_the_same_with_many_steps(
    scene: Scene, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    journey = scene.journey(steps=[scene.config()] * 12)
    step = Document.from_json(journey.draft).steps[5]

    with django_assert_max_num_queries(45):
        drafts.save_step(
            journey=journey,
            revision=journey.draft_revision,
            user=scene.member,
            key=step.key,
            name="Changed",
            config=scene.config(),
            now=NOW,
        )
