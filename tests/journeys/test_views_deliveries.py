"""The deliveries page: filters, one person, why, the export, sending again."""

import csv
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from identity import masking
from journeys import stages
from journeys.models import Run
from journeys.views.deliveries import harmless
from tests.factories import make_administrator, make_member
from tests.journeys.factories import Scene, grant, make_scene
from tests.journeys.test_whole_way import publish, work
from tests.reading import heading
from tests.webhooks.processes import wait_until
from webhooks import redelivery, standing
from webhooks.engine import Sender
from webhooks.lines import Options
from webhooks.models import Delivery, MemberGrant, Redelivery
from webhooks.receiver import Behaviour, Receiver
from webhooks.transport import CurlTransport
from workspaces import roles
from workspaces.choices import Preset
from workspaces.models import AuditEntry
from workspaces.points import Point

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def scene(receiver: Receiver) -> Scene:
    receiver.ledger("/in")
    return make_scene(url=receiver.url("/in"), timeout_seconds=1)


@pytest.fixture
def run(scene: Scene) -> Run:
    """A run that is over: some accepted, one without the wanted ID."""
    made = publish(scene, scene.journey())
    work(made)
    return made


@pytest.fixture
def member(client: Client, scene: Scene) -> Client:
    client.force_login(scene.member)
    return client


@pytest.fixture
def administrator(scene: Scene) -> Client:
    client = Client()
    client.force_login(make_administrator(scene.workspace))
    return client


def url(scene: Scene, name: str = "deliveries", *args: object) -> str:
    return reverse(f"journeys:{name}", args=[scene.workspace.slug, *args])


def rows(client: Client, scene: Scene, **query: Any) -> list[Any]:
    return [each["row"] for each in client.get(url(scene), query).context["rows"]]


def refuse(scene: Scene, receiver: Receiver) -> Run:
    """A run whose people the other system refused."""
    receiver.behave("/in", Behaviour(status=422))
    made = publish(scene, scene.journey())
    work(made)
    receiver.behave("/in", Behaviour())
    return made


# --- The list -------------------------------------------------------------------------------------


def test_it_teaches_while_nothing_was_sent(member: Client, scene: Scene) -> None:
    shown = member.get(url(scene)).content.decode()

    assert "Nothing has been sent yet" in shown
    assert "Export" not in shown


def test_every_count_of_the_run_page_leads_to_so_many_people(
    member: Client, scene: Scene, run: Run
) -> None:
    page = member.get(reverse("journeys:run", args=[scene.workspace.slug, run.journey_id, run.pk]))

    figures = [each for each in page.context["figures"] if each.url]
    assert len(figures) >= 5
    for figure in figures:
        assert len(member.get(figure.url).context["rows"]) == figure.value, figure.label
    for each in [*page.context["reasons"], *page.context["filled"]]:
        assert len(member.get(each.url).context["rows"]) == each.count, each
    assert page.context["reasons"]
    assert page.context["filled"]


def test_the_counts_under_a_step_lead_to_its_people(member: Client, scene: Scene, run: Run) -> None:
    page = member.get(reverse("journeys:editor", args=[scene.workspace.slug, run.journey_id]))

    (node,) = [node for node in page.context["canvas"].nodes if node.numbers]
    assert node.height == 88
    for number in node.numbers:
        assert len(member.get(number.url).context["rows"]) == number.value, number.word


def test_filters_narrow_and_are_named(
    member: Client, scene: Scene, run: Run, receiver: Receiver
) -> None:
    refuse(scene, receiver)

    assert {row.run for row in rows(member, scene, journey=run.journey_id)} == {run}
    assert {row.state for row in rows(member, scene, state="dead")} == {"dead"}
    assert rows(member, scene, webhook=scene.webhook.pk)
    assert not rows(member, scene, since=(timezone.localtime() + timedelta(days=1)).isoformat())
    query: dict[str, str | int] = {
        "state": "expired",
        "journey": run.journey_id,
        "since": "2026-01-02T09:00",
    }
    shown = member.get(url(scene), query).content.decode()
    assert f"No delivery matches: {run.journey.name} · Too late · From " in shown
    assert "Clear the filter" in shown
    assert "Taken out" in shown
    assert "Cancelled" not in shown


def test_a_reason_is_looked_for_in_all_journeys(
    administrator: Client, scene: Scene, run: Run, receiver: Receiver
) -> None:
    refused = refuse(scene, receiver)
    page = administrator.get(url(scene), {"tally": "dead:rejected"})

    assert [(each.value, each.label, each.chosen) for each in page.context["reasons"]] == [
        ("dead:rejected", "The other system refused the request.", True),
        ("skipped:no_id", "No ID of the wanted type is known in any data source.", False),
    ]
    assert {each["row"].run for each in page.context["rows"]} == {refused}
    assert len(rows(administrator, scene, tally="skipped:no_id")) == 2
    since = (timezone.localtime() - timedelta(hours=1)).isoformat()
    assert len(rows(administrator, scene, tally="skipped:no_id", since=since)) == 2
    # What nobody has is said in the words of the filter, and can be sent again by nobody.
    nobody = administrator.get(url(scene), {"tally": "dead:gone"}).content.decode()
    assert "No delivery matches: The other system says that this URL is no longer in use" in nobody
    asked = administrator.get(f"{url(scene, 'send_again')}?tally=dead:rejected")
    assert asked.context["count"] == 2


def test_a_time_is_looked_up_and_not_looked_for_chunk_by_chunk(
    member: Client, scene: Scene, run: Run, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = refuse(scene, receiver)
    monkeypatch.setattr(standing, "CHUNKS_AT_MOST", 0)
    before = (timezone.localtime() - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")

    shown = rows(member, scene, run=refused.pk, since=before)
    assert sorted(row.state for row in shown) == ["dead", "dead", "skipped"]
    assert {row.run for row in shown} == {refused}
    (left_out,) = rows(member, scene, run=run.pk, since=before, tally="skipped:no_id")
    assert left_out.reason == "no_id"
    assert len(rows(member, scene, state="dead", webhook=scene.webhook.pk, since=before)) == 2
    page = member.get(f"{url(scene)}?{urlencode({'run': run.pk, 'until': before})}")
    assert (page.context["rows"], page.context["following"]) == ([], "")


@pytest.mark.parametrize(
    "query",
    [
        {"journey": "x", "run": "99999999999999999999", "step": "x", "webhook": "-1"},
        {"since": "yesterday", "until": "2026-13-45T99:99", "person": "1,x,", "after": "1.2.3"},
        {"after": "2026-01-01T00:00:00~x", "state": "gone", "tally": "\x00"},
        {"after": "9" * 40 + ".1.1", "state": "dead"},
        {"after": "2026-01-01T00:00:00+00:00~\x00"},
        {"since": "9999-12-31T23:59-12:00", "until": "0001-01-01T00:00+14:00"},
    ],
)
def test_an_address_that_makes_no_sense_is_a_page_all_the_same(
    member: Client, scene: Scene, run: Run, query: dict[str, str]
) -> None:
    assert member.get(url(scene), query).status_code == 200


def test_a_run_of_another_workspace_is_no_filter(member: Client, scene: Scene, run: Run) -> None:
    other = make_scene()
    theirs = publish(other, other.journey())

    shown = member.get(url(scene), {"run": theirs.pk, "webhook": other.webhook.pk})

    assert shown.context["chosen"].run is None
    assert shown.context["chosen"].webhook is None


# --- One person -----------------------------------------------------------------------------------


def test_an_id_is_posted_and_never_stands_in_an_address(
    member: Client, scene: Scene, run: Run
) -> None:
    delivery = Delivery.objects.filter(plan__run_id=run.pk).exclude(sent_id="")[0]

    answer = member.post(url(scene), {"id": delivery.sent_id})

    assert answer.status_code == 302
    assert delivery.sent_id not in answer.headers["Location"]
    (row,) = member.get(answer.headers["Location"]).context["rows"]
    assert row["row"].qaid == delivery.qaid


def test_a_delivery_is_found_by_its_number(member: Client, scene: Scene, run: Run) -> None:
    delivery = Delivery.objects.filter(plan__run_id=run.pk)[0]

    answer = member.post(url(scene), {"id": delivery.pk})

    assert answer.headers["Location"].endswith(f"person={delivery.qaid}")


def test_an_id_of_nobody_says_so(member: Client, scene: Scene, run: Run) -> None:
    answer = member.post(url(scene), {"id": "19999999999"}, follow=True)

    assert "Nothing was sent to this person" in answer.content.decode()


def test_ids_are_masked_without_the_right(member: Client, scene: Scene, run: Run) -> None:
    sent = Delivery.objects.filter(plan__run_id=run.pk).exclude(sent_id="")[0]
    role = scene.member.memberships.get().roles.get()
    roles.set_points(role=role, points=roles.points_of(role) - {Point.VIEW_PROFILES}, actor=None)
    why = url(scene, "why", run.journey_id, run.pk, sent.qaid)

    for address in (url(scene), f"{url(scene)}?run={run.pk}", url(scene, "export"), why):
        answer = member.get(address)
        text = answer.getvalue().decode() if answer.streaming else answer.content.decode()
        assert sent.sent_id not in text, address
    shown = member.get(why).content.decode()
    assert "“User Insight-People in Clear”" in shown
    assert heading(shown) == masking.mask(sent.sent_id, scene.mobile)


def test_who_was_never_sent_to_is_called_by_another_id(
    administrator: Client, scene: Scene, run: Run
) -> None:
    (skipped,) = rows(administrator, scene, run=run.pk, state="skipped")
    page = administrator.get(url(scene)).content.decode()

    assert (skipped.sent_to, skipped.person) == ("", "zhao@example.com")
    assert "zhao@example.com" in page
    assert "QAID" not in page


def test_why_shows_the_exact_request_and_each_answer(
    administrator: Client, scene: Scene, receiver: Receiver
) -> None:
    run = refuse(scene, receiver)
    sent = Delivery.objects.filter(plan__run_id=run.pk, state="dead")[0]
    (entry,) = [e for e in receiver.entries("/in") if e.message_id == sent.message_id]

    answer = administrator.get(url(scene, "why", run.journey_id, run.pk, sent.qaid))

    (shown,) = answer.context["sent"]
    assert shown["body"].replace(" ", "").replace("\n", "") == entry.body.decode().replace(" ", "")
    assert [each["status_code"] for each in shown["tries"]] == [422]
    assert answer.context["timeline"].verdict.startswith("Failed: ")
    assert "Send again" in answer.content.decode()


def test_why_tells_of_somebody_who_was_skipped(member: Client, scene: Scene, run: Run) -> None:
    (skipped,) = rows(member, scene, run=run.pk, state="skipped")

    shown = member.get(url(scene, "why", run.journey_id, run.pk, skipped.qaid)).content.decode()

    assert "Not sent: no Mobile in" in shown


def test_a_person_of_another_workspace_is_not_there(member: Client, scene: Scene, run: Run) -> None:
    other = make_scene()
    theirs = other.person(mobile="13900000077")

    answer = member.get(url(scene, "why", run.journey_id, run.pk, theirs.pk))

    assert answer.status_code == 404


# --- The export -----------------------------------------------------------------------------------


def exported(client: Client, scene: Scene, **query: Any) -> list[dict[str, str]]:
    answer = client.get(url(scene, "export"), query)
    assert "attachment" in answer.headers["Content-Disposition"]
    text = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    return list(csv.DictReader(StringIO(text)))


def test_the_export_holds_all_that_matches_and_is_recorded(
    member: Client, scene: Scene, run: Run
) -> None:
    found = exported(member, scene, run=run.pk)

    assert len(found) == run.people
    assert {row["State"] for row in found} == {"Accepted", "Skipped"}
    assert {row["Reason"] for row in found if row["State"] == "Skipped"} == {
        "No Mobile known in any data source."
    }
    entry = AuditEntry.objects.get(action="delivery.exported")
    assert (entry.actor, entry.workspace) == (scene.member, scene.workspace)


def test_the_export_speaks_the_readers_language(member: Client, scene: Scene, run: Run) -> None:
    scene.member.language = "zh-hans"
    scene.member.save()

    assert {row["状态"] for row in exported(member, scene, run=run.pk)} == {"发送成功", "已跳过"}


@pytest.mark.parametrize("cell", ["=1+1", "+86138", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_no_cell_is_a_formula(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    assert harmless("138****0000") == "138****0000"


# --- Sending again --------------------------------------------------------------------------------


def test_all_that_failed_go_out_again(
    administrator: Client, scene: Scene, receiver: Receiver
) -> None:
    run = refuse(scene, receiver)
    failed = len(rows(administrator, scene, run=run.pk, state="dead"))
    where = f"{url(scene, 'send_again')}?run={run.pk}&state=dead"

    asked = administrator.get(where).content.decode()
    answer = administrator.post(where)

    assert f"Send {failed} deliveries again?" in asked
    assert answer.status_code == 204
    job = Redelivery.objects.get()
    assert job.total == failed > 1
    progress = administrator.get(url(scene, "orders")).content.decode()
    assert f"Sending again: 0 of {failed}" in progress
    assert "every 2s" in progress
    work_again(run)
    assert not rows(administrator, scene, run=run.pk, state="dead")
    assert "every 2s" not in administrator.get(url(scene, "orders")).content.decode()


def test_more_than_were_named_are_asked_about_again(
    administrator: Client, scene: Scene, receiver: Receiver
) -> None:
    run = refuse(scene, receiver)
    where = f"{url(scene, 'send_again')}?run={run.pk}&state=dead"
    failed = len(rows(administrator, scene, run=run.pk, state="dead"))
    asked = administrator.get(where).content.decode()

    grown = administrator.post(where, {"confirmed": failed - 1})
    assert grown.status_code == 409
    assert "Meanwhile there are more than you were asked about." in grown.content.decode()
    assert f"Send {failed} deliveries again?" in grown.content.decode()
    assert not Redelivery.objects.exists()
    assert f'name="confirmed" value="{failed}"' in asked
    assert administrator.post(where, {"confirmed": failed}).status_code == 204
    assert Redelivery.objects.get().total == failed


def test_many_that_go_out_again_are_told_with_separators(
    administrator: Client, scene: Scene, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = refuse(scene, receiver)
    monkeypatch.setattr(redelivery, "order", lambda **_chosen: Redelivery(total=22_981))

    answer = administrator.post(f"{url(scene, 'send_again')}?run={run.pk}&state=dead")

    assert "22,981 deliveries are being sent again." in answer.headers["HX-Trigger"]


def work_again(run: Run) -> None:
    open_ones = Delivery.objects.filter(plan__run_id=run.pk, state__in=["dead", "queued"])
    sender = Sender(options=Options(idle_seconds=0.05), transport=CurlTransport(slots=16))
    sender.start()
    try:
        wait_until(lambda: sender.turn() is not None and not open_ones.exists(), seconds=20)
        sender.finish()
    finally:
        sender.close()


def test_only_the_ticked_go_out_again(
    administrator: Client, scene: Scene, receiver: Receiver
) -> None:
    run = refuse(scene, receiver)
    chosen = rows(administrator, scene, run=run.pk, state="dead")[0]

    administrator.post(url(scene, "send_again"), {"delivery": [chosen.delivery_id]})

    job = Redelivery.objects.get()
    assert (job.total, job.selection["delivery_ids"]) == (1, [chosen.delivery_id])


def test_without_the_usage_permission_the_dialog_says_so(
    client: Client, scene: Scene, receiver: Receiver
) -> None:
    run = refuse(scene, receiver)
    user = make_member(scene.workspace, Preset.MARKETER)
    role = user.memberships.get().roles.get()
    roles.set_points(role=role, points=roles.points_of(role) | {Point.REDELIVER}, actor=None)
    client.force_login(user)
    where = f"{url(scene, 'send_again')}?run={run.pk}&state=dead"

    asked = client.get(where).content.decode()
    refused = client.post(where)
    grant(user, scene.webhook)

    assert "The usage permission for this webhook is missing." in asked
    assert refused.status_code == 403
    assert not Redelivery.objects.exists()
    assert MemberGrant.objects.filter(user=user).exists()
    assert client.post(where).status_code == 204


@pytest.mark.parametrize(
    "gone", [{"run": "999999"}, {"webhook": "0"}, {"person": "x"}, {"state": "x"}, {"step": "x"}]
)
def test_a_filter_that_names_what_is_gone_sends_to_nobody(
    administrator: Client, scene: Scene, receiver: Receiver, gone: dict[str, str]
) -> None:
    refuse(scene, receiver)
    where = f"{url(scene, 'send_again')}?{urlencode(gone)}"

    for answer in (administrator.get(where), administrator.post(where)):
        assert answer.status_code == 422
        assert "Load the list again and choose." in answer.content.decode()
    assert not Redelivery.objects.exists()


def test_what_is_ticked_and_is_no_number_sends_to_nobody(
    administrator: Client, scene: Scene, receiver: Receiver
) -> None:
    refuse(scene, receiver)

    answer = administrator.post(url(scene, "send_again"), {"delivery": ["dlv_\x00", "x"]})

    assert answer.status_code == 422
    assert not Redelivery.objects.exists()


def test_the_step_of_another_journey_is_no_filter(member: Client, scene: Scene, run: Run) -> None:
    """The form still holds it when another journey is chosen."""
    other = publish(scene, scene.journey())
    (stage,) = stages.of(other.pk)

    query = {"journey": str(run.journey_id), "step": str(stage.step_key)}
    shown = member.get(url(scene), query).context

    assert (shown["chosen"].run, shown["chosen"].step) == (run, None)
    assert f"run={run.pk}" in shown["query"]


def test_what_was_accepted_cannot_be_sent_again(
    administrator: Client, scene: Scene, run: Run
) -> None:
    answer = administrator.get(f"{url(scene, 'send_again')}?run={run.pk}&state=delivered")

    assert answer.status_code == 422
    assert "Only what failed, came too late or has an unknown outcome" in answer.content.decode()
    nothing = administrator.post(f"{url(scene, 'send_again')}?run={run.pk}")
    assert (nothing.status_code, Redelivery.objects.count()) == (422, 0)
