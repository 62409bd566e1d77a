"""Revisions: when one is frozen, what differs, and what an edit does to journeys."""

import pytest

from tests.webhooks.factories import make_choice_list, make_use, make_webhook, make_workspace
from webhooks import registering, revisions
from webhooks.choices import ParameterType
from webhooks.models import Choice, Parameter
from webhooks.revisions import Content, Difference
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


def content(*parameters: Parameter, id_types: tuple[tuple[int, str], ...] = ()) -> Content:
    return Content(
        parameters=[parameter.frozen() for parameter in parameters],
        id_types=[{"id": pk, "code": code, "name": code} for pk, code in id_types],
        body=None,
        content_template="",
    )


@pytest.mark.parametrize(
    ("before", "after", "difference", "attention", "update"),
    [
        ([], [Parameter(name="a")], Difference(added_required=("a",)), True, True),
        (
            [],
            [Parameter(name="a", required=False)],
            Difference(added_optional=("a",)),
            False,
            False,
        ),
        (
            [],
            [Parameter(name="a", is_constant=True)],
            Difference(added_constant=("a",)),
            False,
            True,
        ),
        ([Parameter(name="a")], [], Difference(removed=("a",)), True, True),
        (
            [Parameter(name="a")],
            [Parameter(name="a", type=ParameterType.NUMERIC)],
            Difference(retyped=("a",)),
            True,
            True,
        ),
        (
            [Parameter(name="a", required=False)],
            [Parameter(name="a")],
            Difference(now_required=("a",)),
            True,
            True,
        ),
        (
            [Parameter(name="a")],
            [Parameter(name="a", help_text="Of the coupon")],
            Difference(details=True),
            False,
            False,
        ),
        ([Parameter(name="a")], [Parameter(name="a")], Difference(), False, False),
    ],
)
def test_what_differs_decides_who_has_something_to_do(
    before: list[Parameter],
    after: list[Parameter],
    difference: Difference,
    attention: bool,
    update: bool,
) -> None:
    found = revisions.compare(content(*before), content(*after))

    assert found == difference
    assert (found.needs_attention, found.update_available) == (attention, update)


def test_a_removed_id_type_needs_attention_and_an_added_one_does_not() -> None:
    mobile, email = (1, "MOBILE"), (2, "EMAIL")

    removed = revisions.compare(content(id_types=(mobile, email)), content(id_types=(email,)))
    added = revisions.compare(content(id_types=(email,)), content(id_types=(mobile, email)))

    assert removed == Difference(removed_id_types=("MOBILE",))
    assert removed.needs_attention
    assert added == Difference(added_id_types=("MOBILE",))
    assert not added.update_available


def test_a_save_that_changes_nothing_frozen_makes_no_revision(workspace: Workspace) -> None:
    webhook = make_webhook(workspace, parameters=[{"name": "content"}])
    webhook.url = "https://elsewhere.example.com/"
    webhook.save()

    again = revisions.freeze(webhook=webhook, actor=None)

    assert (again.number, webhook.revision) == (1, 1)
    assert webhook.revisions.count() == 1


def test_an_edit_leaves_the_older_revision_as_it_was(workspace: Workspace) -> None:
    webhook = make_webhook(workspace, parameters=[{"name": "content"}])
    webhook.parameters.update(name="text")

    made = revisions.freeze(webhook=webhook, actor=None)

    webhook.refresh_from_db()
    assert (made.number, webhook.revision) == (2, 2)
    assert [row.parameters[0]["name"] for row in webhook.revisions.order_by("number")] == [
        "content",
        "text",
    ]
    assert revisions.between(webhook, 1) == Difference(
        added_required=("text",), removed=("content",)
    )


def test_a_changed_choice_list_makes_a_revision_of_every_webhook_that_uses_it(
    workspace: Workspace,
) -> None:
    channels = make_choice_list(workspace, "sms", "app")
    parameter = {"name": "channel", "type": ParameterType.CHOICE, "choice_list": channels}
    webhook = make_webhook(workspace, parameters=[parameter])
    other = make_webhook(workspace)
    Choice.objects.create(choice_list=channels, value="mail", label="Mail", order=9)

    touched = registering.refreeze_users_of(channels, actor=None)

    assert [each.pk for each in touched] == [webhook.pk]
    webhook.refresh_from_db()
    other.refresh_from_db()
    assert (webhook.revision, other.revision) == (2, 1)


def test_an_edit_tells_each_journey_what_happens_to_it(workspace: Workspace) -> None:
    webhook = make_webhook(workspace)
    make_use(webhook, live=1, journey_name="Welcome")
    make_use(webhook, journey_name="Birthday")
    Parameter.objects.create(webhook=webhook, name="coupon")
    revisions.freeze(webhook=webhook, actor=None)

    found = revisions.effect(webhook=webhook, difference=revisions.between(webhook, 1))

    assert found.sentence == "Affects 2 journeys, 0 people waiting"
    live, draft = found.journeys
    assert (live.name, "Update available" in live.happens) == ("Welcome", True)
    assert (draft.name, "Needs attention" in draft.happens) == ("Birthday", True)


def test_a_revision_is_outdated_by_what_the_newest_has_besides(workspace: Workspace) -> None:
    webhook = make_webhook(workspace)
    Parameter.objects.create(webhook=webhook, name="coupon")
    revisions.freeze(webhook=webhook, actor=None)

    found = revisions.outdated([(webhook, 1), (webhook, 2)])

    assert {key: each.added_required for key, each in found.items()} == {
        (webhook.pk, 1): ("coupon",)
    }
