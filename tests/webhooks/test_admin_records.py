"""Deliveries and receipts in the admin: masked, scoped, paged without counting."""

import re
import uuid
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.contrib.admin.utils import quote
from django.core.management import call_command
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.webhooks.factories import (
    NOW,
    make_administrator,
    make_member,
    make_webhook,
    make_workspace,
)
from webhooks import holding, plans
from webhooks.choices import AttemptKind, DeliveryState, StateByte
from webhooks.ids import DeliveryIds
from webhooks.models import Attempt, Chunk, Delivery, Message, Plan, Receipt, Redelivery, Webhook
from workspaces import roles
from workspaces.models import User, Workspace
from workspaces.points import Point

pytestmark = pytest.mark.django_db

PAST = "2026-11-24T00:00:00+00:00~"
LEDGER = "/admin/webhooks/delivery/"
ATTEMPTS = "/admin/webhooks/attempt/"
RECEIPTS = "/admin/webhooks/receipt/"
MOBILE = "13800000000"


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


@pytest.fixture
def webhook(workspace: Workspace) -> Webhook:
    return make_webhook(workspace, parameters=[{"name": "content"}])


@pytest.fixture
def plan(webhook: Webhook) -> Plan:
    return make_plan(webhook)


def make_plan(
    webhook: Webhook, content: str = "Hello", variables: dict[str, Any] | None = None
) -> Plan:
    revision = webhook.revisions.get()
    definition = plans.define(
        revision=revision,
        values={"content": content},
        variables=variables or {},
        id_type=webhook.id_types.get(),
    )
    return plans.create(
        revision=revision,
        run_id=webhook.pk,
        step_key=str(uuid.uuid4()),
        definition=definition,
        labels={"journey": "Welcome"},
        responsible=None,
    )


def make_deliveries(plan: Plan, count: int, **fields: Any) -> list[Delivery]:
    """So many people of one chunk, one a second, the newest last."""
    maker = DeliveryIds(
        settings.DELIVERY_KEY, run=plan.run_id, step_key=str(plan.step_key), day=NOW.date()
    )
    state = fields.get("state", DeliveryState.DELIVERED)
    byte = {DeliveryState.DELIVERED: StateByte.DELIVERED}.get(state, StateByte.DEAD)
    chunk = Chunk.objects.create(
        workspace=plan.workspace,
        webhook=plan.webhook,
        plan=plan,
        number=plan.chunks.count(),
        day=NOW.date(),
        qaids=list(range(1, count + 1)),
        states=bytes([byte] * count),
        due_at=NOW,
        size=count,
        queued=0,
        unsent=0,
        **{"delivered" if byte == StateByte.DELIVERED else "dead": count},
    )
    defaults = {
        "day": NOW.date(),
        "workspace": plan.workspace,
        "webhook": plan.webhook,
        "plan": plan,
        "chunk_id": chunk.pk,
        "state": DeliveryState.DELIVERED,
        "sent_id": MOBILE,
        "reach_id": MOBILE,
        "texts": [],
        "attempts": 1,
        "status_code": 200,
        "answer": f"got {MOBILE}",
        **fields,
    }
    return Delivery.objects.bulk_create(
        Delivery(
            id=maker.one(position + 1, str(chunk.pk)),
            position=position,
            qaid=position + 1,
            **{"updated_at": NOW + timedelta(seconds=position), **defaults},
        )
        for position in range(count)
    )


def make_attempt(webhook: Webhook, delivery_id: str, at: datetime) -> Attempt:
    return Attempt.objects.create(
        day=NOW.date(),
        webhook=webhook,
        delivery_id=delivery_id,
        message_id="msg_1",
        number=2,
        at=at,
        outcome="read_timeout",
    )


def login(client: Client, user: User) -> Client:
    client.force_login(user)
    return client


def developer_of(workspace: Workspace, *points: Point) -> User:
    """A member who may enter the set-up and has exactly these points."""
    role = roles.create_role(
        workspace=workspace, name="Own", points={Point.WEBHOOK_MANAGEMENT, *points}, actor=None
    )
    user = make_member(workspace, None)
    user.memberships.get().roles.set([role])
    user.groups.add(role.group)
    return user


def test_the_pages_hold_everybody_once_and_count_nothing(client: Client, plan: Plan) -> None:
    made = make_deliveries(plan, 250)
    login(client, make_administrator(plan.workspace))
    seen: list[str] = []

    url = LEDGER
    with CaptureQueriesContext(
        connection,
    ) as queries:
        while url:
            response = client.get(url)
            changes = response.context["cl"]
            seen += [row.pk for row in changes.result_list]
            url = LEDGER + changes.next_link if changes.next_link else ""

    assert seen == [row.pk for row in sorted(made, key=lambda row: row.updated_at, reverse=True)]
    ledger = [query["sql"] for query in queries if 'FROM "webhooks_delivery"' in query["sql"]]
    assert len(ledger) == 5
    assert not any("COUNT(" in sql or "OFFSET" in sql for sql in ledger)


def test_equal_times_lose_and_double_nobody(client: Client, plan: Plan) -> None:
    make_deliveries(plan, 75, updated_at=NOW)
    login(client, make_administrator(plan.workspace))

    first = client.get(LEDGER).context["cl"]
    second = client.get(LEDGER + first.next_link).context["cl"]

    assert len({row.pk for row in [*first.result_list, *second.result_list]}) == 75


def test_a_page_costs_the_same_for_few_and_many(client: Client, plan: Plan) -> None:
    login(client, make_administrator(plan.workspace))

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get(LEDGER)
        return len(captured)

    make_deliveries(plan, 3)
    few = queries()
    make_deliveries(plan, 90)

    assert queries() == few


def test_whoever_was_accepted_at_the_second_try_is_not_said_to_have_failed(
    client: Client, plan: Plan
) -> None:
    (delivery,) = make_deliveries(plan, 1, status_code=503, attempts=2, first_attempt_at=NOW)
    make_attempt(plan.webhook, delivery.pk, NOW)
    Attempt.objects.update(outcome="answered", status_code=200)
    login(client, make_administrator(plan.workspace))
    listed = StringIO()
    call_command("deliveries", "list", workspace=plan.workspace.slug, stdout=listed)

    (row,) = client.get(LEDGER).context["cl"].result_list
    page = client.get(f"{LEDGER}{delivery.pk}/change/").content.decode()

    assert row.last_status == 200
    assert re.search(r"field-answered.*?200", page, re.DOTALL)
    assert " delivered 200" in listed.getvalue()
    assert '<th scope="col">Duration</th>' in page


def test_the_list_reads_its_own_table_alone(client: Client, plan: Plan) -> None:
    """Joined with tables that are too small for statistics, its rows were all read and sorted."""
    login(client, make_administrator(plan.workspace))
    with CaptureQueriesContext(connection) as captured:
        client.get(LEDGER)

    lists = [each["sql"] for each in captured if 'FROM "webhooks_delivery"' in each["sql"]]
    assert lists
    assert [sql for sql in lists if " JOIN " in sql] == []


def test_ids_are_masked_for_whoever_may_not_see_people(client: Client, plan: Plan) -> None:
    (delivery,) = make_deliveries(plan, 1)
    login(client, developer_of(plan.workspace, Point.VIEW_DELIVERIES))

    for url in (LEDGER, f"{LEDGER}{quote(delivery.pk)}/change/"):
        text = client.get(url).content.decode()
        assert MOBILE not in text
        assert "138****0000" in text


@pytest.mark.parametrize("sees", [False, True])
def test_what_was_filled_in_is_hidden_from_who_may_not_see_people(
    client: Client, webhook: Webhook, sees: bool
) -> None:
    name = {"name": "name", "source": "tag", "code": "nickname"}
    plan = make_plan(webhook, "Dear ${name} Hello", {"content": [name]})
    (delivery,) = make_deliveries(plan, 1, texts=["Dear Zhang San Hello"])
    points = [Point.VIEW_DELIVERIES, *([Point.VIEW_PROFILES] if sees else [])]
    login(client, developer_of(webhook.workspace, *points))

    text = client.get(f"{LEDGER}{quote(delivery.pk)}/change/").content.decode()

    assert ("Zhang San" in text) is sees


ECHO = '{"params": {"content": "Dear Zhang San Hello"}}'


@pytest.mark.parametrize("sees", [False, True])
def test_what_the_other_system_wrote_is_hidden_from_who_may_not_see_people(
    client: Client, plan: Plan, sees: bool
) -> None:
    """A receiver may repeat in its answers and receipts what was filled in for the person."""
    (delivery,) = make_deliveries(plan, 1, answer=ECHO)
    attempt = Attempt.objects.create(
        day=delivery.day,
        webhook=plan.webhook,
        delivery_id=delivery.pk,
        message_id="msg_1",
        number=2,
        kind=AttemptKind.AUTO,
        at=NOW,
        outcome="answered",
        status_code=500,
        answer=ECHO,
    )
    receipt = Receipt.objects.create(
        webhook=plan.webhook,
        delivery_id=delivery.pk,
        code="0",
        message="Refused: Dear Zhang San Hello",
        occurred_at=NOW,
        received_at=NOW,
    )
    points = [Point.VIEW_DELIVERIES, *([Point.VIEW_PROFILES] if sees else [])]
    login(client, developer_of(plan.workspace, *points))

    pages = {
        url: client.get(url).content.decode()
        for url in (
            f"{LEDGER}{quote(delivery.pk)}/change/",
            f"{ATTEMPTS}{quote(str(attempt.pk))}/change/",
            RECEIPTS,
            f"{RECEIPTS}{quote(str(receipt.pk))}/change/",
        )
    }

    expected = [3, 1, 1, 1]
    none = [0] * len(expected)
    assert [page.count("Zhang San") for page in pages.values()] == (expected if sees else none)
    told = [
        page.count("you need the permission “User Insight-People in Clear”")
        for page in pages.values()
    ]
    assert told == (none if sees else expected)


def test_an_empty_answer_is_not_said_to_be_hidden(client: Client, plan: Plan) -> None:
    (delivery,) = make_deliveries(plan, 1, answer="")
    login(client, developer_of(plan.workspace, Point.VIEW_DELIVERIES))

    assert "Hidden." not in client.get(f"{LEDGER}{quote(delivery.pk)}/change/").content.decode()


@pytest.mark.parametrize(("status", "said"), [(204, "The answer was empty."), (None, "–")])
def test_an_empty_answer_is_said_in_words_and_not_drawn_as_an_empty_box(
    client: Client, plan: Plan, status: int | None, said: str
) -> None:
    (delivery,) = make_deliveries(plan, 1, answer="", status_code=status)
    login(client, make_administrator(plan.workspace))

    page = client.get(f"{LEDGER}{quote(delivery.pk)}/change/").content.decode()

    field = page[page.index("field-their_answer") : page.index("field-part")]
    assert said in field
    assert "<pre" not in field


def test_a_later_attempt_is_named_by_its_time_and_no_cell_is_empty(
    client: Client, plan: Plan
) -> None:
    (delivery,) = make_deliveries(plan, 1)
    attempt = make_attempt(plan.webhook, delivery.pk, NOW)
    Attempt.objects.filter(pk=attempt.pk).update(outcome="answered", status_code=200)
    login(client, make_administrator(plan.workspace))

    page = client.get(f"{LEDGER}{quote(delivery.pk)}/change/").content.decode()
    alone = client.get(f"{ATTEMPTS}{attempt.pk}/change/").content.decode()

    table = page[page.index("field-tries") : page.index("field-receipts")]
    assert '<table class="table">' in table
    assert re.search(r'<th scope="row">[^<]*2026', table)
    assert '<td data-label="Outcome">Answered</td>' in table
    assert '<td data-label="Answer">–</td>' in table
    assert "The answer was empty." in alone


def test_what_is_filtered_by_is_called_as_its_column(client: Client, plan: Plan) -> None:
    make_deliveries(plan, 1)
    login(client, make_administrator(plan.workspace))

    changes = client.get(LEDGER).context["cl"]

    assert [str(each.title) for each in changes.filter_specs] == ["outcome", "webhook"]


def test_in_chinese_an_attempt_s_number_and_status_are_not_called_attempt_and_state(
    client: Client, plan: Plan
) -> None:
    make_attempt(plan.webhook, "dlv_1", NOW)
    administrator = make_administrator(plan.workspace)
    administrator.language = "zh-hans"
    administrator.save()
    login(client, administrator)

    page = client.get(ATTEMPTS).content.decode()

    heads = page[page.index("<thead>") : page.index("</thead>")]
    assert "第几次" in heads
    assert "HTTP 状态码" in heads


@pytest.mark.parametrize(("seconds", "said"), [(5, "the oldest just due"), (200, "due for 3")])
def test_whoever_is_due_for_less_than_a_minute_is_said_to_be_just_due(
    client: Client, plan: Plan, seconds: int, said: str
) -> None:
    make_deliveries(plan, 1)
    due = timezone.now() - timedelta(seconds=seconds)
    Chunk.objects.update(queued=1, unsent=1, delivered=0, due_at=due)
    login(client, make_administrator(plan.workspace))

    page = client.get(f"/admin/webhooks/webhook/{plan.webhook_id}/change/").content.decode()

    assert said in page
    assert "0 minutes" not in page.replace("\xa0", " ")


def test_ids_are_clear_for_whoever_may_see_people(client: Client, plan: Plan) -> None:
    (delivery,) = make_deliveries(plan, 1)
    login(client, make_administrator(plan.workspace))

    text = client.get(f"{LEDGER}{quote(delivery.pk)}/change/").content.decode()

    assert MOBILE in text
    assert "Welcome" in text
    assert "&quot;params&quot;" in text


def test_the_right_to_see_deliveries_is_asked(client: Client, plan: Plan) -> None:
    (delivery,) = make_deliveries(plan, 1)
    login(client, developer_of(plan.workspace))

    assert client.get(LEDGER).status_code == 403
    assert client.get(f"{LEDGER}{quote(delivery.pk)}/change/").status_code == 403


@pytest.mark.parametrize("given", ["²", "9" * 30, "9" * 5_000, "x"])
def test_an_odd_filter_still_gives_the_list(client: Client, plan: Plan, given: str) -> None:
    make_deliveries(plan, 1)
    login(client, make_administrator(plan.workspace))

    for name in ("workspace", "webhook"):
        assert client.get(LEDGER, {name: given}).context["cl"].result_count == 1


def test_another_tenants_deliveries_do_not_exist(client: Client, plan: Plan) -> None:
    (delivery,) = make_deliveries(plan, 1)
    login(client, make_administrator(make_workspace()))

    assert client.get(f"{LEDGER}{quote(delivery.pk)}/change/").status_code == 404
    assert client.get(LEDGER, {"workspace": plan.workspace_id}).context["cl"].result_count == 0


@pytest.mark.parametrize("query", ["?state=dead", "?q={id}", "?q=1&state=dead"])
def test_one_delivery_is_found_by_state_id_or_qaid(client: Client, plan: Plan, query: str) -> None:
    make_deliveries(plan, 5)
    (failed,) = make_deliveries(plan, 1, state=DeliveryState.DEAD, reason="rejected")
    login(client, make_administrator(plan.workspace))

    found = client.get(LEDGER + query.format(id=failed.pk)).context["cl"].result_list

    assert [row.pk for row in found] == [failed.pk]


def test_nothing_is_changed_or_deleted_by_hand(client: Client, plan: Plan) -> None:
    (delivery,) = make_deliveries(plan, 1)
    make_messages(plan, 1)
    make_attempt(plan.webhook, delivery.pk, NOW)
    login(client, make_administrator(plan.workspace))
    records: list[models.Model] = [delivery, Message.objects.get(), Attempt.objects.get()]

    for record in records:
        address = f"/admin/webhooks/{record._meta.model_name}/"
        one = f"{address}{quote(str(record.pk))}"
        refused = [
            client.get(f"{address}add/"),
            client.get(f"{one}/delete/"),
            client.post(f"{one}/delete/", {"post": "yes"}),
            client.post(f"{one}/change/", {"state": "dead"}),
        ]
        assert client.get(f"{one}/change/").status_code == 200, address
        assert [answer.status_code for answer in refused] == [403] * 4, address
        assert client.get(f"{one}/change/").status_code == 200, address


def test_chosen_failures_are_ordered_again(client: Client, plan: Plan) -> None:
    (accepted,) = make_deliveries(plan, 1)
    failed = make_deliveries(plan, 2, state=DeliveryState.DEAD, reason="rejected")
    login(client, make_administrator(plan.workspace))

    response = client.post(
        LEDGER,
        {"action": "send_again", "_selected_action": [accepted.pk, *(row.pk for row in failed)]},
        follow=True,
    )

    job = Redelivery.objects.get()
    assert job.total == 2
    text = response.content.decode()
    assert "2 deliveries are being sent again." in text
    assert "1 had not failed or cannot be repeated." in text


def test_sending_again_needs_its_own_right(client: Client, plan: Plan) -> None:
    (failed,) = make_deliveries(plan, 1, state=DeliveryState.DEAD, reason="rejected")
    login(client, developer_of(plan.workspace, Point.VIEW_DELIVERIES))

    page = client.get(LEDGER).content.decode()
    client.post(LEDGER, {"action": "send_again", "_selected_action": [failed.pk]})

    assert "Send again" not in page
    assert not Redelivery.objects.exists()


def test_receipts_are_listed_with_the_newest_first(client: Client, plan: Plan) -> None:
    (delivery,) = make_deliveries(plan, 1)
    for code in ("200", "404"):
        Receipt.objects.create(
            webhook=plan.webhook,
            delivery_id=delivery.pk,
            code=code,
            occurred_at=NOW,
            received_at=timezone.now(),
        )
    login(client, make_administrator(plan.workspace))

    listed = client.get(RECEIPTS)
    found = listed.context["cl"].result_list

    assert [row.code for row in found] == ["404", "200"]
    page = client.get(f"{RECEIPTS}{found[0].pk}/change/").content.decode()
    assert re.search(r"field-their_message[^>]*>–<", listed.content.decode())
    assert re.search(r"field-their_message.*?–", page, re.DOTALL)


def make_messages(plan: Plan, count: int) -> None:
    chunk = plan.chunks.first()
    assert chunk is not None
    shared = {"workspace": plan.workspace, "webhook": plan.webhook, "plan": plan, "chunk": chunk}
    Message.objects.bulk_create(
        Message(
            id=f"msg_{plan.pk}_{number:04}",
            day=NOW.date(),
            delivery_ids=[f"dlv_{number}"],
            positions=[0],
            body=b"{}",
            due_at=NOW + timedelta(seconds=number // 3),
            **shared,
        )
        for number in range(count)
    )


@pytest.mark.parametrize(("language", "word"), [("en", "Automatic"), ("zh-hans", "自动")])
def test_how_a_request_came_about_is_said_in_words(
    client: Client, plan: Plan, language: str, word: str
) -> None:
    make_deliveries(plan, 1)
    make_messages(plan, 1)
    administrator = make_administrator(plan.workspace)
    administrator.language = language
    administrator.save()
    login(client, administrator)

    for path in ("", f"{quote(Message.objects.get().pk)}/change/"):
        page = client.get(f"/admin/webhooks/message/{path}").content.decode()
        assert word in page
        assert ">auto<" not in page


def test_waiting_messages_of_all_webhooks_come_in_the_order_they_are_due(
    client: Client, plan: Plan
) -> None:
    make_deliveries(plan, 1)
    make_messages(plan, 150)
    other = make_plan(make_webhook(plan.workspace, parameters=[{"name": "content"}]))
    make_deliveries(other, 1)
    make_messages(other, 90)
    foreign = make_plan(make_webhook(make_workspace(), parameters=[{"name": "content"}]))
    make_deliveries(foreign, 1)
    make_messages(foreign, 5)
    login(client, make_administrator(plan.workspace))
    seen: list[Message] = []

    url = "/admin/webhooks/message/"
    while url:
        changes = client.get(url).context["cl"]
        seen += changes.result_list
        url = "/admin/webhooks/message/" + changes.next_link if changes.next_link else ""

    assert len({row.pk for row in seen}) == 240
    assert [(row.due_at, row.pk) for row in seen] == sorted((row.due_at, row.pk) for row in seen)


def test_whoever_is_held_back_has_no_next_try(client: Client, plan: Plan) -> None:
    make_deliveries(plan, 1)
    make_messages(plan, 1)
    login(client, make_administrator(plan.workspace))
    chosen = holding.selection(webhook=plan.webhook)
    holding.hold(workspace=plan.workspace, actor=None, chosen=chosen)
    message = Message.objects.get()
    assert message.due_at > holding.HELD_AFTER

    for url in ("/admin/webhooks/message/", f"/admin/webhooks/message/{quote(message.pk)}/change/"):
        page = client.get(url).content.decode()
        assert "Held back by an operator" in page
        assert str(message.due_at.year) not in page


def test_an_order_to_send_again_is_named_so_and_by_its_time_here(
    client: Client, plan: Plan
) -> None:
    login(client, make_administrator(plan.workspace))
    plan.workspace.time_zone = "Asia/Shanghai"
    plan.workspace.save()
    order = Redelivery.objects.create(
        workspace=plan.workspace, ordered_at=NOW, selection={}, total=1200, done=1100
    )

    page = client.get(f"/admin/webhooks/redelivery/{order.pk}/change/").content.decode()

    assert "24 Nov 2026, 18:00 · 1,100 / 1,200" in page
    assert "Orders to send again" in page
    assert "edeliver" not in re.sub(r"<[^>]*>", "", page)


@pytest.mark.parametrize("model", ["delivery", "message", "attempt", "receipt", "redelivery"])
@pytest.mark.parametrize("after", ["x", "x~y", "2026-11-24", "1e9", "~", PAST + "\x00"])
def test_a_place_that_no_link_says_is_the_first_page(
    client: Client, plan: Plan, model: str, after: str
) -> None:
    make_deliveries(plan, 1)
    login(client, make_administrator(plan.workspace))

    response = client.get(f"/admin/webhooks/{model}/", {"after": after})

    assert response.status_code == 200


def test_attempts_of_one_workspace_are_listed_the_latest_first(client: Client, plan: Plan) -> None:
    other = make_webhook(make_workspace())
    for number, webhook in enumerate([plan.webhook, other, *[plan.webhook] * 59]):
        make_attempt(webhook, f"dlv_{number}", NOW + timedelta(seconds=number))
    login(client, developer_of(plan.workspace, Point.VIEW_DELIVERIES))

    first = client.get(ATTEMPTS)
    changes = first.context["cl"]
    second = client.get(ATTEMPTS + changes.next_link).context["cl"]

    seen = [row.delivery_id for row in [*changes.result_list, *second.result_list]]
    assert seen == [f"dlv_{number}" for number in range(60, -1, -1) if number != 1]
    assert "no complete answer came within the time limit" in first.content.decode()
    found = client.get(ATTEMPTS, {"q": "dlv_7"}).context["cl"]
    assert [row.delivery_id for row in found.result_list] == ["dlv_7"]
