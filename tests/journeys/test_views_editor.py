"""The step editor over HTTP: statuses, sentences, the two gates, two people at once."""

import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import formats, timezone

from identity.models import Identifier, Profile
from journeys import previews, publishing, runner
from journeys.choices import JourneyState, RunState
from journeys.components.event import Condition
from journeys.components.webhook import WebhookConfig
from journeys.forms.webhook import field_name
from journeys.models import Journey, Run
from tests.factories import make_administrator, make_member
from tests.identity.factories import make_audience, make_event
from tests.journeys.factories import NICKNAME, NOW, SHOP, Scene, grant, make_purchase, make_scene
from tests.webhooks.factories import make_choice_list, make_webhook
from webhooks.models import MemberGrant, TestSend
from webhooks.receiver import Receiver, Reply
from webhooks.rendering import Source
from workspaces.choices import Preset
from workspaces.models import User
from workspaces.points import Point

pytestmark = pytest.mark.django_db
CONTENT = field_name("content")


@pytest.fixture
def scene() -> Scene:
    cache.clear()
    return make_scene()


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def url(journey: Journey, name: str, *more: Any) -> str:
    return reverse(f"journeys:{name}", args=[journey.workspace.slug, journey.pk, *more])


def step_of(journey: Journey) -> str:
    return str(journey.draft["steps"][0]["key"])


def posted(scene: Scene, journey: Journey, **changed: str) -> dict[str, str]:
    """What the panel of a complete webhook step posts."""
    variables = journey.draft["steps"][0]["config"].get("variables", {})
    return {
        "revision": str(journey.draft_revision),
        "name": "Welcome them",
        "webhook": str(scene.webhook.pk),
        "parameter": "content",
        CONTENT: "Dear ${name} Hello",
        "variables": json.dumps(variables),
        "kept": "{}",
        "id_type": str(scene.mobile.pk),
        "encryption": "none",
        **changed,
    }


def events_of(response: Any, header: str = "HX-Trigger") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(response.headers[header])
    return found


# --- Panel ----------------------------------------------------------------------------------------


def test_a_panel_saves_and_tells_the_page(scene: Scene) -> None:
    journey = scene.journey()

    response = client_of(scene.member).post(
        url(journey, "panel", step_of(journey)),
        posted(scene, journey, reach_id_type=str(scene.email.pk), encryption="sha256"),
    )

    assert response.status_code == 204
    assert set(events_of(response)) == {"step-saved", "toast"}
    journey.refresh_from_db()
    assert journey.draft["steps"][0]["name"] == "Welcome them"
    config = journey.draft["steps"][0]["config"]
    assert config["values"] == {"content": "Dear ${name} Hello"}
    assert (config["id_type"], config["reach_id_type"]) == (scene.mobile.pk, scene.email.pk)
    assert config["encryption"] == "sha256"


def test_an_audience_that_no_id_type_reaches_is_told_which_it_lacks(scene: Scene) -> None:
    webhook = make_webhook(scene.workspace, id_types=[scene.mobile, scene.email])
    grant(scene.member, webhook)
    journey = scene.journey(steps=[scene.config(webhook=webhook.pk, values={}, variables={})])
    Identifier.objects.all().delete()

    page = client_of(scene.member).get(url(journey, "panel", step_of(journey))).content.decode()

    assert "No one in this audience has Mobile or Email." in page

    scene.workspace.id_types.update(in_mapping=False, enabled=False)
    page = client_of(scene.member).get(url(journey, "panel", step_of(journey))).content.decode()
    assert "The webhook takes no ID type that is in use." in page
    assert "No one in this audience has" not in page


def test_an_event_start_says_whose_numbers_these_are(scene: Scene) -> None:
    purchase = make_purchase(scene)
    journey = scene.event_journey(purchase, steps=[scene.config()])
    for person in scene.people[1:]:  # The last has no mobile number.
        make_event(person, purchase, event_id=str(person.pk), occurred_at=timezone.now())
    member, key = client_of(scene.member), step_of(journey)

    panel = member.get(url(journey, "panel", key)).content.decode()
    assert "reported this event in the last 30 days. 1 of them would be skipped" in panel
    dialog_shown = member.post(
        url(journey, "variable", key), posted(scene, journey, insert="content")
    ).content.decode()
    assert "reported this event in the last 30 days, and their events." in dialog_shown
    drawn = member.post(url(journey, "preview", key), posted(scene, journey)).content.decode()
    assert ", with the event of " in drawn

    Identifier.objects.filter(profile__in=scene.people).delete()
    cache.clear()
    panel = member.get(url(journey, "panel", key)).content.decode()
    assert "No one who reported this event in the last 30 days has Mobile or Email." in panel
    assert "No one in this audience" not in panel


def test_each_parameter_is_asked_in_a_field_of_its_type_and_a_constant_in_none(
    scene: Scene,
) -> None:
    channels = make_choice_list(scene.workspace, "app", "sms")
    webhook = make_webhook(
        scene.workspace,
        parameters=[
            {"name": "worth", "type": "numeric", "minimum": 5, "maximum": 50},
            {"name": "valid until", "type": "date", "required": False},
            {"name": "channel", "type": "choice", "choice_list": channels, "required": False},
            {"name": "source", "is_constant": True, "constant_value": "console"},
        ],
    )
    grant(scene.member, webhook)
    journey = scene.journey(steps=[scene.config(webhook=webhook.pk, values={}, variables={})])

    response = client_of(scene.member).get(url(journey, "panel", step_of(journey)))

    form, page = response.context["form"], response.content.decode()
    names = ("worth", "valid until", "channel")
    worth, until, channel = (form[field_name(name)] for name in names)
    assert 'type="text"' in str(worth)
    assert 'inputmode="decimal"' in str(worth)
    assert worth.help_text == "From 5 to 50"
    assert 'type="date"' in str(until)
    assert re.findall(r'<option value="(.*?)".*?>(.*?)<', str(channel)) == [
        ("", "Choose one"),
        ("app", "App"),
        ("sms", "Sms"),
    ]
    fields = [page[page.index(f'id="{each.auto_id}_field"') :] for each in (worth, until, channel)]
    marked = ["optional" in field[: field.index("<input type=")] for field in fields]
    assert marked == [False, True, True]
    assert field_name("source") not in page
    assert "console" not in page
    assert "1 constant is added by the webhook." in page


def test_each_id_type_stands_with_how_many_have_it(scene: Scene) -> None:
    scene.people[0].identifiers.filter(id_type=scene.email).delete()
    journey = scene.journey()

    page = client_of(scene.member).get(url(journey, "panel", step_of(journey))).content.decode()

    rows = re.findall(r'choice-text">(\w+)</span>\s*<span class="choice-meta">(.*?)<', page)
    assert rows == [("Mobile", "2 of 3"), ("Email", "1 of 3")]


def test_a_start_by_which_nobody_would_enter_says_so_beside_the_id_types(scene: Scene) -> None:
    purchase = make_purchase(scene)
    listening = scene.event_journey(purchase, steps=[scene.config()])
    empty = make_audience(scene.workspace, name="Nobody")
    nobody = scene.journey(audiences=(empty.pk,))
    unchosen = scene.journey(audiences=())
    client = client_of(scene.member)

    panels = [
        client.get(url(journey, "panel", step_of(journey))).content.decode()
        for journey in (listening, nobody, unchosen)
    ]

    assert "Nobody reported this event in the last 30 days" in panels[0]
    assert "Nobody is in this audience now." in panels[1]
    assert (
        "Nobody" not in panels[2].partition('id="id_id_type_field"')[2].partition("</fieldset>")[0]
    )


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let counting take longer than panels and dialogs wait; return what was counted."""
    counted: list[str] = []

    def slowly(name: str) -> None:
        count = getattr(previews, name)

        def counting(*given: Any, **named: Any) -> Any:
            counted.append(name)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(0.1)")
            return count(*given, **named)

        monkeypatch.setattr(previews, name, counting)

    for name in ("_count_coverage", "fill_rates"):
        slowly(name)
    monkeypatch.setattr(previews, "AT_ONCE", timedelta(milliseconds=20))
    return counted


def test_what_takes_long_to_count_comes_once_the_panel_is_there(
    scene: Scene, slow: list[str]
) -> None:
    journey = scene.journey()
    client, key = client_of(scene.member), step_of(journey)

    panel = client.get(url(journey, "panel", key)).content.decode()
    late = client.post(url(journey, "coverage", key), posted(scene, journey)).content.decode()
    kept = client.post(url(journey, "coverage", key), {"saved": "1"}).content.decode()
    unsent = client.post(url(journey, "coverage", journey.draft["start"]["key"]))
    so_far = len(slow)
    again = client.get(url(journey, "panel", key)).content.decode()

    rows = re.findall(r'choice-text">(\w+)</span>\s*<span class="choice-meta">(.*?)<', panel)
    assert rows == [("Mobile", ""), ("Email", "")]
    assert "Still counting." in panel
    assert 'hx-trigger="load, change from:#id_id_type_field"' in panel
    for answer in (late, kept):
        assert f"""[data-covers='{scene.mobile.pk}'] .choice-meta">2 of 3</span>""" in answer
        assert "1 person without it is skipped." in answer
    assert unsent.status_code == 404
    # Nobody waits again for what is known to take long.
    assert "Still counting." in again
    assert len(slow) == so_far == 3


def test_saving_a_step_counts_nobody(scene: Scene, slow: list[str]) -> None:
    journey = scene.journey()

    response = client_of(scene.member).post(
        url(journey, "panel", step_of(journey)), posted(scene, journey)
    )

    assert response.status_code == 204
    assert slow == []


def test_another_id_type_says_whom_it_leaves_out(scene: Scene) -> None:
    scene.people[0].identifiers.filter(id_type=scene.email).delete()
    journey = scene.journey()
    changed = posted(scene, journey, id_type=str(scene.email.pk))

    answer = client_of(scene.member).post(url(journey, "coverage", step_of(journey)), changed)

    assert "2 people without it are skipped." in answer.content.decode()


def test_a_single_id_type_is_chosen_already_and_the_rest_of_it_is_one_sentence(
    scene: Scene,
) -> None:
    webhook = make_webhook(scene.workspace, id_types=[scene.mobile])
    grant(scene.member, webhook)
    journey = scene.journey(steps=[WebhookConfig(webhook=webhook.pk).to_json()])
    address = url(journey, "panel", step_of(journey))

    page = client_of(scene.member).get(address).content.decode()

    chosen = rf'<input type="radio" name="id_type" value="{scene.mobile.pk}" checked>\s*'
    assert re.search(chosen + r'<span class="choice-text">\w+</span>\s*<span[^>]*>2 of 3<', page)
    assert page.count('name="id_type"') == 1
    assert re.search(r"</svg>\s*Reached by the same ID, not encrypted<span[^>]*>Change<", page)
    assert '<details class="fold" open' not in page


def test_a_failed_save_keeps_what_was_typed_and_says_why(scene: Scene) -> None:
    journey = scene.journey()

    response = client_of(scene.member).post(
        url(journey, "panel", step_of(journey)),
        posted(scene, journey, **{CONTENT: "Dear ${who}", "name": ""}),
    )

    page = response.content.decode()
    assert response.status_code == 422
    assert "<html" not in page
    assert "Dear ${who}" in page
    assert "“who” is not a variable here. Insert it, or write $${who} for plain text." in page
    assert "Enter a step name." in page


def test_the_panel_names_the_missing_gate_of_each_webhook_and_whom_to_ask(scene: Scene) -> None:
    journey = scene.journey(steps=[{}])
    outsider = make_member(scene.workspace, Preset.MARKETER)

    page = client_of(outsider).get(url(journey, "panel", step_of(journey))).content.decode()

    assert "You may not use a webhook yet." in page
    assert "CRM coupons" in page
    assert "The usage permission for this webhook is missing." in page
    assert f'<option value="{scene.webhook.pk}"' not in page


def test_the_panel_offers_what_may_be_used_and_folds_the_rest_with_its_gate(scene: Scene) -> None:
    make_webhook(scene.workspace, name="Call centre")
    journey = scene.journey()

    page = client_of(scene.member).get(url(journey, "panel", step_of(journey))).content.decode()

    offered, fold = page.split('<details class="fold fold-small">')
    fold = fold.partition("</details>")[0]
    assert "CRM coupons</option>" in offered
    assert "Call centre</option>" not in page
    assert "1 more webhook that you may not use" in fold
    assert "Call centre" in fold
    assert "The usage permission for this webhook is missing." in fold
    assert "CRM coupons" not in fold


@pytest.mark.parametrize("lost", ["role", "usage"])
def test_without_both_gates_nothing_is_saved_or_tested(scene: Scene, lost: str) -> None:
    journey = scene.journey()
    if lost == "usage":
        MemberGrant.objects.filter(user=scene.member).update(ends_at=timezone.now())
        member = scene.member
    else:
        member = make_member(scene.workspace, points=[Point.AUTOMATED_MARKETING])
        grant(member, scene.webhook)
    client = client_of(member)

    opened = client.get(url(journey, "panel", step_of(journey)))
    saved = client.post(url(journey, "panel", step_of(journey)), posted(scene, journey))
    tested = client.post(url(journey, "test", step_of(journey)), posted(scene, journey))
    drawn = client.post(url(journey, "preview", step_of(journey)), posted(scene, journey))

    shown = opened.content.decode()
    assert opened.status_code == 200
    assert "You may look at this step, and not change it." in shown
    assert opened.context["gate"] in shown
    assert 'type="submit"' not in shown
    assert "Test send" not in shown
    assert "permission" in drawn.content.decode()
    assert "recipients" not in drawn.content.decode()
    page = saved.content.decode()
    assert saved.status_code == 403
    assert "You may look at this step, and not change it." in page
    assert "permission" in page
    assert "Welcome them" in page
    assert 'data-busy-label="Saving…"' not in page
    assert tested.status_code == 403
    journey.refresh_from_db()
    assert journey.draft["steps"][0]["name"] == "Step 1"


def test_choosing_another_webhook_loses_nothing_that_was_typed(scene: Scene) -> None:
    journey = scene.journey()
    other = make_webhook(
        scene.workspace, name="Call centre", parameters=[{"name": "note", "type": "text"}]
    )
    grant(scene.member, other)
    client = client_of(scene.member)
    address = url(journey, "panel", step_of(journey))
    typed = posted(scene, journey, **{CONTENT: "Half a sentence"})

    away = client.post(address, {**typed, "webhook": str(other.pk), "redraw": "1"})
    kept = away.context["form"]["kept"].value()
    back = client.post(
        address,
        {
            **posted(scene, journey),
            "parameter": "note",
            field_name("note"): "A note",
            "kept": kept,
            "redraw": "1",
        },
    )

    assert away.status_code == back.status_code == 200
    assert CONTENT not in away.context["form"].fields
    assert back.context["form"][CONTENT].value() == "Half a sentence"


def test_a_stale_save_shows_both_values_and_can_be_kept(scene: Scene) -> None:
    journey = scene.journey()
    mine = posted(scene, journey)
    other = make_member(scene.workspace, Preset.MARKETER, name="Li Mei")
    grant(other, scene.webhook)
    client_of(other).post(
        url(journey, "panel", step_of(journey)),
        posted(scene, journey, **{CONTENT: "Hi ${name}"}),
    )
    client = client_of(scene.member)

    stale = client.post(url(journey, "panel", step_of(journey)), mine)

    page = stale.content.decode()
    assert stale.status_code == 409
    assert "Li Mei changed this step at" in page
    assert "Hi ${name}" in page
    assert "Dear ${name} Hello" in page

    kept = client.post(
        url(journey, "panel", step_of(journey)),
        {**mine, "revision": str(stale.context["conflict"].revision)},
    )

    assert kept.status_code == 204


def test_a_save_after_another_steps_change_goes_through(scene: Scene) -> None:
    journey = scene.journey(steps=[scene.config(), scene.config()])
    mine = posted(scene, journey)
    other = make_member(scene.workspace, Preset.MARKETER)
    client_of(other).post(
        url(journey, "step_delete"),
        {"revision": str(journey.draft_revision), "step": journey.draft["steps"][1]["key"]},
    )

    saved = client_of(scene.member).post(url(journey, "panel", step_of(journey)), mine)

    assert saved.status_code == 204
    journey.refresh_from_db()
    assert [step["name"] for step in journey.draft["steps"]] == ["Welcome them"]


def test_their_value_can_be_taken_for_one_field_alone(scene: Scene) -> None:
    journey = scene.journey()
    mine = posted(scene, journey, **{CONTENT: "Mine", "variables": "{}"})
    other = make_member(scene.workspace, Preset.MARKETER, name="Li Mei")
    grant(other, scene.webhook)
    theirs = posted(scene, journey, name="Hers", **{CONTENT: "Hers ${name}"})
    address = url(journey, "panel", step_of(journey))
    client_of(other).post(address, theirs)
    client = client_of(scene.member)
    stale = client.post(address, mine)

    taken = client.post(address, {**mine, "take": "parameter:content"})

    differing = {row.field for row in stale.context["conflict"].rows}
    assert differing == {"name", "parameter:content", "variables"}
    assert [(row.field, row.theirs, row.mine) for row in taken.context["conflict"].rows] == [
        ("name", "Hers", "Welcome them")
    ]
    assert taken.context["form"][CONTENT].value() == "Hers ${name}"
    assert taken.context["form"]["name"].value() == "Welcome them"
    assert json.loads(taken.context["form"]["variables"].value())["content"]


def test_a_conflict_names_choices_and_shows_no_ids(scene: Scene) -> None:
    journey = scene.journey()
    audience = make_audience(scene.workspace, name="Everybody")
    key = journey.draft["start"]["key"]
    scene._save_start(journey, scene.start(audiences=(audience.pk,)))

    stale = client_of(scene.member).post(
        url(journey, "panel", key),
        {
            "revision": str(journey.draft_revision - 1),
            "name": "Members",
            "audiences": [str(scene.audience.pk)],
            "when": "at",
            "at": "2099-12-03T09:00",
        },
    )

    rows = {row.field: (row.theirs, row.mine) for row in stale.context["conflict"].rows}
    assert stale.status_code == 409
    assert rows["audiences"] == ("Everybody", "Members")
    assert rows["when"] == ("Now, when it is published", "At a time")
    assert rows["at"][0] == "–"
    assert "2099" in rows["at"][1]
    assert "T09" not in rows["at"][1]


def test_a_conflict_shows_the_rules_of_variables_and_not_their_names_alone(scene: Scene) -> None:
    journey = scene.journey()
    variables = json.dumps(journey.draft["steps"][0]["config"]["variables"])
    mine = posted(scene, journey, variables=variables.replace("Member", "Guest"))
    scene.rename_step(journey, "Theirs")

    stale = client_of(scene.member).post(url(journey, "panel", step_of(journey)), mine)

    rows = {row.field: (row.theirs, row.mine) for row in stale.context["conflict"].rows}
    assert stale.status_code == 409
    assert rows["variables"] == (
        "${name} · Nickname, else “Member”",
        "${name} · Nickname, else “Guest”",
    )


def test_a_step_deleted_meanwhile_keeps_what_was_typed_to_copy(scene: Scene) -> None:
    journey = scene.journey()
    mine = posted(scene, journey, **{CONTENT: "Half a sentence"})
    other = make_member(scene.workspace, Preset.MARKETER, name="Li Mei")
    client_of(other).post(
        url(journey, "step_delete"),
        {"revision": str(journey.draft_revision), "step": step_of(journey)},
    )

    stale = client_of(scene.member).post(url(journey, "panel", step_of(journey)), mine)

    page = stale.content.decode()
    assert stale.status_code == 409
    assert "Li Mei deleted this step at" in page
    assert "Half a sentence" in page
    assert 'data-busy-label="Saving…"' not in page


def test_a_reader_sees_the_panel_and_cannot_save(scene: Scene) -> None:
    journey = scene.journey()
    client = client_of(make_member(scene.workspace, Preset.ANALYST))

    shown = client.get(url(journey, "panel", step_of(journey)))
    refused = client.post(url(journey, "panel", step_of(journey)), posted(scene, journey))

    assert "You may look at this journey, and not change it." in shown.content.decode()
    assert "User Marketing-Automated Marketing" in shown.content.decode()
    assert refused.status_code == 403


# --- Starts ---------------------------------------------------------------------------------------


def test_an_audience_start_is_saved_with_the_workspaces_own_time(scene: Scene) -> None:
    scene.workspace.time_zone = "Asia/Shanghai"
    scene.workspace.save()
    journey = scene.journey()
    key = journey.draft["start"]["key"]

    response = client_of(scene.member).post(
        url(journey, "panel", key),
        {
            "revision": str(journey.draft_revision),
            "name": "Members",
            "audiences": [str(scene.audience.pk)],
            "when": "at",
            "at": "2099-12-03T09:00",
        },
    )

    assert response.status_code == 204
    journey.refresh_from_db()
    assert journey.draft["start"]["config"]["at"] == "2099-12-03T09:00:00+08:00"


MEMBERS_READ = ("identity_audiencemember", "identity_profile", "identity_identifier")


def test_opening_the_audience_start_counts_nobody_however_many_audiences_there_are(
    scene: Scene,
) -> None:
    journey = scene.journey()
    rules = {"match": "all", "conditions": [{"id_type": "MOBILE", "operator": "has"}]}
    client = client_of(scene.member)
    address = url(journey, "panel", journey.draft["start"]["key"])
    make_audience(scene.workspace, name="Rules", rules=rules)
    client.get(address)
    with CaptureQueriesContext(connection) as few:
        client.get(address)
    for number in range(40):
        kind = {"rules": rules} if number % 2 else {"people": scene.people}
        make_audience(scene.workspace, name=f"Audience {number}", **kind)

    with CaptureQueriesContext(connection) as many:
        page = client.get(address).content.decode()

    assert page.count('name="audiences"') == 42
    assert len(many) == len(few) > 0
    assert not [q for q in many if any(table in q["sql"] for table in MEMBERS_READ)]


def test_the_audiences_chosen_in_the_panel_are_counted_together_in_one_query(scene: Scene) -> None:
    journey = scene.journey()
    second = make_audience(scene.workspace, name="More", people=[scene.people[0], scene.person()])
    client = client_of(scene.member)
    address = url(journey, "start_people", journey.draft["start"]["key"])

    with CaptureQueriesContext(connection) as asked:
        both = client.post(address, {"audiences": [scene.audience.pk, second.pk]})
    reading = [q for q in asked if any(table in q["sql"] for table in MEMBERS_READ)]
    kept = client.post(address, {"kept": "1"})
    none = client.post(address, {"audiences": []})

    assert "4 people now" in both.content.decode()
    assert len(reading) == 1
    assert "3 people now" in kept.content.decode()
    assert none.content.decode().strip() == ""
    assert client.post(url(journey, "start_people", step_of(journey))).status_code == 404


def test_an_event_start_keeps_typed_conditions(scene: Scene) -> None:
    journey = scene.event_journey(make_purchase(scene))
    key = journey.draft["start"]["key"]
    event_type = journey.draft["start"]["config"]["event_type"]
    data = {
        "revision": str(journey.draft_revision),
        "name": "Bought for 50 or more",
        "event_type": str(event_type),
        "match": "all",
        "condition_attribute": ["amount", "shop"],
        "condition_op": ["at_least", "one_of"],
        "condition_value": ["50", "north, south"],
        "reentry": "once",
        "reentry_days": "1",
    }

    wrong = client_of(scene.member).post(
        url(journey, "panel", key), {**data, "condition_value": ["much", "north"]}
    )
    right = client_of(scene.member).post(url(journey, "panel", key), data)

    assert wrong.status_code == 422
    assert "The value must be a number." in wrong.content.decode()
    assert right.status_code == 204
    journey.refresh_from_db()
    assert journey.draft["start"]["config"]["conditions"] == [
        {"attribute": "amount", "op": "at_least", "value": 50},
        {"attribute": "shop", "op": "one_of", "value": ["north", "south"]},
    ]


def test_an_event_that_never_came_is_said_with_the_command_that_sends_one(scene: Scene) -> None:
    purchase = make_purchase(scene)
    journey = scene.event_journey(purchase)
    client = client_of(scene.member)
    address = url(journey, "panel", journey.draft["start"]["key"])

    before = client.get(address).content.decode()
    unchosen = client.post(address, {"redraw": "1", "event_type": ""}).content.decode()
    scene.report(scene.people[0], "order-1", amount=59.9)
    after = client.get(address).content.decode()

    assert f"No “{purchase.name}” event yet" in before
    assert "curl -X POST http://testserver/api/v1/events/" in before
    assert "would have matched" not in before
    assert "curl" not in unchosen
    assert "curl" not in after
    assert "a day would have matched last week." in after


def test_saving_an_event_start_tells_how_many_a_day_would_have_matched(scene: Scene) -> None:
    purchase = make_purchase(scene)
    journey = scene.event_journey(purchase)
    for number in range(14):
        at = timezone.now() - timedelta(days=number % 3, minutes=number)
        make_event(
            scene.people[0],
            purchase,
            event_id=f"e-{number}",
            occurred_at=at,
            attributes={"amount": 10 * number},
        )
    data = {
        "revision": str(journey.draft_revision),
        "name": "Bought",
        "event_type": str(purchase.pk),
        "match": "all",
        "reentry": "always",
        "reentry_days": "1",
    }
    condition = {
        "condition_attribute": "amount",
        "condition_op": "at_least",
        "condition_value": "130",
    }
    client = client_of(scene.member)
    address = url(journey, "panel", journey.draft["start"]["key"])

    saved = client.post(address, data)
    journey.refresh_from_db()
    narrowed = client.post(address, {**data, **condition, "revision": str(journey.draft_revision)})

    assert events_of(saved)["toast"]["text"] == (
        "Step saved. About 2 a day would have matched last week."
    )
    assert events_of(narrowed)["toast"]["text"] == (
        "Step saved. Fewer than 1 a day would have matched last week."
    )


# --- Variables ------------------------------------------------------------------------------------


def dialog(scene: Scene, journey: Journey, **changed: str) -> dict[str, str]:
    return {
        "parameter": "content",
        "field": f"id_{CONTENT}",
        "text": "Dear  Hello",
        "variables": "{}",
        "source": "tag:nickname",
        "name": "name",
        "empty": "default",
        "default": "Member",
        **changed,
    }


@pytest.mark.parametrize("is_sensitive", [False, True])
def test_the_dialog_shows_each_tag_with_an_example(scene: Scene, is_sensitive: bool) -> None:
    scene.workspace.tags.filter(code="nickname").update(sensitive=is_sensitive)
    Profile.objects.filter(tags__nickname="Nobody").update(tags={})
    member = make_member(
        scene.workspace, points=[Point.AUTOMATED_MARKETING, Point.REACH_MARKETING_WEBHOOK]
    )
    journey = scene.journey()

    page = client_of(member).post(
        url(journey, "variable", step_of(journey)),
        {**posted(scene, journey), "insert": "content"},
    )

    rows = " ".join(page.content.decode().split())
    assert ('Nickname <span class="meta"> Tag · Text · as “Zhang San”' in rows) is not is_sensitive
    assert "33% filled" in rows


@pytest.mark.parametrize(
    ("filled", "total", "words"),
    [
        (0, 300, "0% filled"),
        (2, 300, "under 1% filled"),
        (3, 300, "1% filled"),
        (300, 300, "100% filled"),
    ],
)
def test_a_tag_that_a_few_have_is_not_said_to_be_empty(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, filled: int, total: int, words: str
) -> None:
    rates = {(Source.TAG, "nickname"): previews.FillRate(filled, total, "Zhang San")}
    monkeypatch.setattr(previews, "fill_rates_within", lambda *args, **kwargs: rates)
    journey = scene.journey()

    shown = client_of(scene.member).post(
        url(journey, "variable", step_of(journey)), {"insert": "content"}
    )

    assert f'<span class="choice-meta">{words}</span>' in shown.content.decode()


def test_how_often_tags_are_filled_comes_late_when_it_takes_long_to_count(
    scene: Scene, slow: list[str]
) -> None:
    journey = scene.journey()
    client, key = client_of(scene.member), step_of(journey)

    shown = client.post(url(journey, "variable", key), {"insert": "content"}).content.decode()
    late = client.post(url(journey, "variable_rates", key), dialog(scene, journey)).content.decode()

    assert "Nickname" in shown
    assert "Still counting." in shown
    assert "% filled" not in shown
    place = re.search(r'data-fills="(\d+)">\s*<input[^>]*value="tag:nickname"', shown)
    assert place is not None
    assert f"""[data-fills='{place[1]}'] .choice-meta">66% filled</span>""" in late
    assert f"""[data-fills='{place[1]}'] .example">""" in late


def test_inserting_a_variable_hands_text_and_variables_to_the_panel(scene: Scene) -> None:
    journey = scene.journey()

    response = client_of(scene.member).post(
        url(journey, "variable_insert", step_of(journey)), dialog(scene, journey)
    )

    assert response.status_code == 200
    assert response.headers["HX-Reswap"] == "none"
    told = events_of(response, "HX-Trigger-After-Swap")
    assert told == {"variable-insert": {"field": f"id_{CONTENT}", "text": "${name}"}}
    assert '"code": "nickname"' in response.context["variables_json"]


def test_a_variable_of_the_text_is_offered_and_inserted_once_more(scene: Scene) -> None:
    journey = scene.journey()
    names = [{"name": each, "source": "tag", "code": "nickname"} for each in ("who", "gone")]
    typed = {"variables": json.dumps({"content": names}), CONTENT: "Dear ${who}"}
    opened = client_of(scene.member).post(
        url(journey, "variable", step_of(journey)), {**typed, "insert": "content"}
    )
    shown = opened.content.decode()
    assert "Already in this text" in shown
    assert re.findall(r'name="again"\s+value="(\w+)"', shown) == ["who"]

    again = dialog(scene, journey, **typed, text="Dear ${who}", again="who")
    response = client_of(scene.member).post(
        url(journey, "variable_insert", step_of(journey)), again
    )
    told = events_of(response, "HX-Trigger-After-Swap")
    assert told == {"variable-insert": {"field": f"id_{CONTENT}", "text": "${who}"}}


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"name": "a{b"}, "A name holds letters, digits, spaces, “_” and “-” only."),
        ({"default": ""}, "Enter the default value."),
        ({"source": "tag:gone"}, "This source is no longer available. Choose another one."),
        ({"source": ""}, "Choose where the value comes from."),
        ({"format": "QQ{"}, "is neither a date format nor a number format."),
        (
            {
                "variables": json.dumps(
                    {"content": [{"name": "name", "source": "tag", "code": "x"}]}
                )
            },
            "Another variable of this text has this name.",
        ),
    ],
)
def test_a_wrong_variable_is_refused_with_a_sentence(
    scene: Scene, changed: dict[str, str], sentence: str
) -> None:
    journey = scene.journey()

    response = client_of(scene.member).post(
        url(journey, "variable_insert", step_of(journey)), dialog(scene, journey, **changed)
    )

    assert response.status_code == 422
    assert sentence in response.content.decode()


def test_a_variable_can_be_renamed_and_removed(scene: Scene) -> None:
    journey = scene.journey()
    old = {"content": [{"name": "name", "source": "tag", "code": "nickname"}]}
    address = url(journey, "variable_insert", step_of(journey))
    client = client_of(scene.member)
    data = dialog(scene, journey, variables=json.dumps(old), edit="name", name="nick")

    renamed = client.post(address, data)
    removed = client.post(address, {**data, "remove": "1"})

    told = events_of(renamed, "HX-Trigger-After-Swap")["variable-replace"]
    assert (told["from"], told["to"]) == ("${name}", "${nick}")
    told = events_of(removed, "HX-Trigger-After-Swap")["variable-replace"]
    assert (told["from"], told["to"]) == ("${name}", "")
    assert json.loads(removed.context["variables_json"]) == {"content": []}


def test_the_dialog_shows_the_sentence_with_and_without_a_value(scene: Scene) -> None:
    journey = scene.journey()

    response = client_of(scene.member).post(
        url(journey, "variable_preview", step_of(journey)), dialog(scene, journey, cursor="5")
    )

    page = " ".join(response.content.decode().split())
    assert 'Dear <span class="defaulted">Member</span> Hello' in page


def test_the_dialog_names_the_variable_as_it_stands_in_the_text(scene: Scene) -> None:
    journey = scene.journey()
    client = client_of(scene.member)

    opened = client.post(url(journey, "variable", step_of(journey)), {"insert": "content"})
    typed = client.post(
        url(journey, "variable_preview", step_of(journey)),
        dialog(scene, journey, name="<b>", edit="name"),
    )

    assert "Stands in the text as ${Nickname}." in opened.content.decode()
    help_text = re.search(
        r'id="variable_name_helptext"[^>]*>([^\n]+)</div>', typed.content.decode()
    )
    assert help_text is not None
    assert help_text[1] == "Stands in the text as ${&lt;b&gt;}."


# --- Test send ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "sentence"), [("", "Enter the ID to send to."), ("not a number", "number")]
)
def test_a_test_without_a_usable_id_is_refused_with_a_sentence(
    scene: Scene, typed: str, sentence: str
) -> None:
    journey = scene.journey()
    step = step_of(journey)
    client = client_of(scene.member)
    reached = posted(scene, journey, reach_id_type=str(scene.email.pk))
    opened = client.post(url(journey, "test", step), reached)
    form = opened.context["form"]

    response = client.post(
        url(journey, "test_send", step),
        {
            "panel": form["panel"].value(),
            "token": form["token"].value(),
            "id_type": str(scene.mobile.pk),
            "typed_id": typed,
            "reach_id": "san@example.com" if typed else "",
        },
    )

    errors = response.context["form"].errors
    assert set(errors) == ({"typed_id"} if typed else {"typed_id", "reach_id"})
    assert form["reach_id"].field.required
    assert opened.status_code == 200
    assert response.status_code == 422
    assert sentence in response.content.decode()


@pytest.mark.parametrize(("tested", "is_asked"), [("mobile", True), ("email", False)])
def test_the_id_to_reach_the_user_is_asked_unless_the_tested_id_is_of_that_type(
    scene: Scene, tested: str, is_asked: bool
) -> None:
    journey = scene.journey()
    step = step_of(journey)
    client = client_of(scene.member)
    reached = posted(scene, journey, reach_id_type=str(scene.email.pk))
    form = client.post(url(journey, "test", step), reached).context["form"]

    response = client.post(
        url(journey, "test_send", step),
        {
            "panel": form["panel"].value(),
            "token": form["token"].value(),
            "id_type": str(getattr(scene, tested).pk),
            "typed_id": "",
        },
    )

    again = response.context["form"]
    assert ("reach_id" in again.errors) == is_asked
    assert (again.reach_type is not None) == is_asked


def test_a_test_of_another_step_than_the_addressed_one_is_not_taken(scene: Scene) -> None:
    journey = scene.journey()
    step = {**journey.draft["steps"][0], "key": str(uuid.uuid4())}

    response = client_of(scene.member).post(
        url(journey, "test_send", step_of(journey)), {"panel": json.dumps(step)}
    )

    assert response.status_code == 404


@pytest.mark.parametrize("name", ["test_send", "test_values"])
def test_who_manages_webhooks_needs_both_gates_to_test_a_step(scene: Scene, name: str) -> None:
    journey = scene.journey()
    manager = make_member(
        scene.workspace, points=[Point.AUTOMATED_MARKETING, Point.WEBHOOK_MANAGEMENT]
    )

    response = client_of(manager).post(
        url(journey, name, step_of(journey)),
        {
            "panel": json.dumps(journey.draft["steps"][0]),
            "token": "a",
            "id_type": str(scene.mobile.pk),
            "typed_id": "13800000001",
        },
    )

    assert response.status_code == 403
    assert not TestSend.objects.exists()


@pytest.mark.parametrize(("points", "value"), [([], ""), ([Point.VIEW_PROFILES], "Zhang San")])
def test_a_sensitive_tag_fills_in_for_who_may_see_people_alone(
    scene: Scene, points: list[Point], value: str
) -> None:
    scene.workspace.tags.filter(code="nickname").update(sensitive=True)
    journey = scene.journey()
    both = [Point.AUTOMATED_MARKETING, Point.REACH_MARKETING_WEBHOOK]
    member = make_member(scene.workspace, points=[*both, *points])
    grant(member, scene.webhook)

    response = client_of(member).post(
        url(journey, "test_values", step_of(journey)),
        {
            "panel": json.dumps(journey.draft["steps"][0]),
            "id_type": str(scene.mobile.pk),
            "typed_id": "13800000001",
        },
    )

    (field,) = response.context["form"].variable_fields
    assert response.context["is_found"]
    assert (field.value() or "") == value


def test_a_test_of_an_event_start_begins_with_the_latest_event_that_matches(scene: Scene) -> None:
    purchase = make_purchase(scene)
    mine, theirs = scene.people[:2]
    for person, hours, shop, amount in (
        (mine, 2, "Berlin", 60),
        (theirs, 1, "Rome", 70),
        (mine, 0, "Oslo", 1),
    ):
        at, attributes = timezone.now() - timedelta(hours=hours), {"shop": shop, "amount": amount}
        make_event(person, purchase, event_id=shop, occurred_at=at, attributes=attributes)
    config = scene.config(values={"content": "At ${shop}"}, variables={"content": (SHOP,)})
    at_least = Condition("amount", "at_least", 50)
    journey = scene.event_journey(purchase, steps=[config], conditions=(at_least,))
    sees = [Point.AUTOMATED_MARKETING, Point.REACH_MARKETING_WEBHOOK, Point.VIEW_PROFILES]
    member, key = make_member(scene.workspace, points=sees), step_of(journey)
    grant(member, scene.webhook)

    def told(name: str, user: User | None = None, **typed: str) -> tuple[str | None, str]:
        panel = posted(scene, journey, **{CONTENT: "At ${shop}"})
        shown = client_of(user or member).post(url(journey, name, key), panel | typed)
        (field,) = shown.context["form"].variable_fields
        return field.value(), shown.content.decode()

    scene.person("13800000009")
    # What somebody else bought is for who may see people alone.
    value, shown = told("test", scene.member)
    assert (value, "Rome" in shown) == (None, False)
    value, shown = told("test")
    assert (value, "The values of the latest event that matches" in shown) == ("Rome", True)
    carried = {"panel": json.dumps(journey.draft["steps"][0]), "id_type": str(scene.mobile.pk)}
    value, shown = told("test_values", None, **carried, typed_id="13800000001")
    assert (value, "another person reported" in shown) == ("Berlin", False)
    value, shown = told("test_values", None, **carried, typed_id="13800000009")
    assert (value, "another person reported" in shown) == ("Rome", True)
    # The latest ones stand there to choose from, and each fills its own values in.
    assert re.findall(r'<option value="(\w+)"', shown) == ["Rome", "Berlin"]
    picked = {**carried, "event": "Berlin", "pick": "1"}
    value, shown = told("test_values", None, **picked, typed_id="13800000009")
    assert (value, '<option value="Berlin" selected>' in shown) == ("Berlin", True)
    value, shown = told("test_values", None, **carried, event="Berlin", typed_id="0")
    assert '<option value="Berlin" selected>' in shown


def test_who_tests_later_reads_nothing_of_what_was_sent_before(scene: Scene) -> None:
    """The values of a test may be those of a person; its exchange is its sender's alone."""
    journey = scene.journey()
    step = step_of(journey)
    said = "Dear Qian Yi Hello"
    TestSend.objects.create(
        workspace=scene.workspace,
        webhook=scene.webhook,
        revision=1,
        step_key=step,
        sent_by=scene.member,
        sent_at=timezone.now(),
        id_type_code="MOBILE",
        masked_id="138****0001",
        accepted=True,
        outcome="delivered",
        status_code=200,
        request_text=said,
        answer_text=said,
    )
    developer = make_member(scene.workspace, Preset.DEVELOPER)
    colleague = make_member(scene.workspace)
    grant(colleague, scene.webhook)
    client = client_of(colleague)

    pages = [
        client.post(url(journey, "test", step), posted(scene, journey)),
        client.get(url(journey, "panel", step)),
        client.get(reverse("journeys:editor", args=[scene.workspace.slug, journey.pk])),
        client_of(developer).get(f"/admin/webhooks/webhook/{scene.webhook.pk}/change/"),
    ]

    assert [page.status_code for page in pages] == [200] * 4
    assert "1 earlier test" in pages[0].content.decode()
    assert "138****0001" in pages[3].content.decode()
    assert not any("Qian Yi" in page.content.decode() for page in pages)


def test_the_last_tests_are_kept_and_tell_whether_the_step_changed_since(settings: Any) -> None:
    """Saving what was tested is no change; a new step is tested before it is saved."""
    with Receiver() as receiver:
        settings.EGRESS_ALLOW = [f"127.0.0.1/32:{receiver.port}"]
        scene = make_scene(url=receiver.url("/crm"))
        scene.member.name = "Li Mei"
        scene.member.save()
        journey = scene.journey(steps=[{}])
        step, client = step_of(journey), client_of(scene.member)
        variables = json.dumps({"content": [NICKNAME.to_json()]})
        typed = posted(scene, journey, variables=variables, kept='{"note": "of another webhook"}')
        receiver.script("/crm", Reply(500), Reply(200))
        for _number in range(2):
            form = client.post(url(journey, "test", step), typed).context["form"]
            sent = client.post(
                url(journey, "test_send", step),
                {
                    "panel": form["panel"].value(),
                    "token": form["token"].value(),
                    "id_type": str(scene.mobile.pk),
                    "typed_id": "13800000001",
                },
            )
            assert "The values that are sent; change them as you like." in sent.content.decode()

    def told() -> tuple[list[str], str]:
        journey.refresh_from_db()
        dialog = client.post(url(journey, "test", step), posted(scene, journey, **changed))
        panel = client.get(url(journey, "panel", step)).content.decode()
        items = re.findall(r"<li>(.*?)</li>", dialog.content.decode(), re.DOTALL)
        words = [" ".join(re.sub(r"<.*?>", " ", item).split()) for item in items]
        return words, panel.partition('class="panel-note"')[2].partition("</p>")[0]

    changed = {"variables": variables}
    assert client.post(url(journey, "panel", step), typed).status_code == 204
    tests, note = told()
    changed[CONTENT] = "Good day ${name}"
    journey.refresh_from_db()
    later = posted(scene, journey, **changed)
    assert client.post(url(journey, "panel", step), later).status_code == 204
    tests_later, note_later = told()

    assert [test.split(" ")[0] for test in tests] == ["Accepted", "Failed"]
    assert all("Li Mei" in test and test.endswith("· unchanged since") for test in tests)
    assert all(re.search(r"\d:\d\d|ago|now", test) for test in tests)
    assert "Last test: accepted" in note
    assert "changed since" not in note
    assert all(test.endswith("· changed since") for test in tests_later)
    assert "changed since" in note_later


# --- Canvas ---------------------------------------------------------------------------------------


def test_a_deleted_step_comes_back_by_the_undo_of_its_toast(scene: Scene) -> None:
    journey = scene.journey()
    step = step_of(journey)
    client = client_of(scene.member)

    deleted = client.post(
        url(journey, "step_delete"), {"revision": str(journey.draft_revision), "step": step}
    )
    undo = events_of(deleted)["toast"]["undo"]
    undone = client.post(undo)

    assert deleted.status_code == undone.status_code == 200
    assert step not in deleted.content.decode()
    assert step in undone.content.decode()
    assert 'hx-swap-oob="true"' in undone.content.decode()


@pytest.mark.parametrize("name", ["step_delete", "canvas"])
def test_the_canvas_brings_the_time_of_the_save_to_the_header(scene: Scene, name: str) -> None:
    journey = scene.journey()
    Journey.objects.update(changed_at=NOW)
    client = client_of(scene.member)
    data = {"revision": str(journey.draft_revision), "step": step_of(journey)}
    before = client.get(url(journey, "editor")).content.decode()

    answer = (
        client.post(url(journey, name), data)
        if name == "step_delete"
        else client.get(url(journey, name))
    )

    zone = scene.workspace.zone
    saved = timezone.localtime(Journey.objects.get().changed_at, zone)
    shown = formats.date_format(saved, "TIME_FORMAT")
    assert before.count('id="saved"') == 1
    assert f'id="saved" hx-swap-oob="true">Saved {shown}</span>' in answer.content.decode()


def test_the_header_tells_the_day_of_the_save_too(scene: Scene) -> None:
    journey = scene.journey()
    Journey.objects.update(changed_at=NOW)

    shown = client_of(scene.member).get(url(journey, "editor")).content.decode()

    at = timezone.localtime(NOW, scene.workspace.zone)
    day, time = f"{at.day} Nov", formats.date_format(at, "TIME_FORMAT")
    assert re.search(
        rf'title="{day}( 2026)?, {time} \({scene.workspace.time_zone}\)" id="saved"', shown
    )


def test_a_journey_is_copied_and_archived_from_its_drawing_too(scene: Scene) -> None:
    journey = scene.journey()
    copies, archives = (f'hx-post="{url(journey, name)}"' for name in ("duplicate", "archive"))
    reader = client_of(make_member(scene.workspace, points=[Point.VIEW_DELIVERIES]))
    client, address = client_of(scene.member), url(journey, "editor")

    at_rest, looked = client.get(address).content.decode(), reader.get(address).content.decode()
    Journey.objects.update(state=JourneyState.PAUSED)
    under_way = client.get(address).content.decode()
    Journey.objects.update(state=JourneyState.DRAFT, is_archived=True)
    archived = client.get(address).content.decode()

    assert copies in at_rest
    assert archives in at_rest
    assert copies in under_way
    assert archives not in under_way
    assert archives not in archived
    assert copies not in looked
    assert archives not in looked


def test_whoever_may_only_look_is_told_which_permission_is_missing_and_whom_to_ask(
    scene: Scene,
) -> None:
    journey = scene.journey()
    make_administrator(scene.workspace, name="Wang Lei")
    reader = make_member(scene.workspace, points=[Point.VIEW_DELIVERIES])

    looked = client_of(reader).get(url(journey, "editor")).content.decode()
    edited = client_of(scene.member).get(url(journey, "editor")).content.decode()

    assert "Read-only" in looked
    assert "The permission “User Marketing-Automated Marketing” is missing." in looked
    assert "Ask Wang Lei, who administers this workspace." in looked
    assert "Read-only" not in edited


def test_a_stale_canvas_is_redrawn_and_told_who_changed_it(scene: Scene) -> None:
    journey = scene.journey()

    response = client_of(scene.member).post(
        url(journey, "step_delete"), {"revision": "0", "step": step_of(journey)}
    )

    assert response.status_code == 409
    assert "changed this" in events_of(response)["toast"]["text"]
    assert step_of(journey) in response.content.decode()


def test_another_tenants_journey_is_not_there(scene: Scene) -> None:
    journey = scene.journey()
    stranger = make_scene()

    response = client_of(stranger.member).get(
        reverse("journeys:editor", args=[stranger.workspace.slug, journey.pk])
    )

    assert response.status_code == 404


# --- Counts that are renewed ----------------------------------------------------------------------


def test_counts_come_without_the_canvas_and_end_with_the_run(scene: Scene) -> None:
    journey = scene.journey()
    client = client_of(scene.member)
    address = url(journey, "numbers")
    before = client.get(address)
    published = publishing.publish(
        journey=journey, revision=journey.draft_revision, user=scene.member, now=timezone.now()
    )
    scheduled = client.get(address)
    runner.sweep(now=timezone.now())

    begun, drawn = client.get(address), client.get(f"{address}?drawn")
    Run.objects.filter(pk=published.run.pk).update(state=RunState.STOPPED)
    reader = make_member(scene.workspace, points=[Point.AUTOMATED_MARKETING])

    assert "hx-get" not in before.content.decode()
    assert "hx-get" in scheduled.content.decode()
    assert "HX-Trigger" not in scheduled.headers
    assert list(events_of(begun)) == ["numbers-began"]
    assert "node-numbers" not in begun.content.decode()
    page = drawn.content.decode()
    assert f'id="numbers-{step_of(journey)}" hx-swap-oob="true"' in page
    assert f'id="numbers-list-{step_of(journey)}" hx-swap-oob="true"' in page
    assert 'data-live="In progress. 3 Waiting, 0 Accepted, 0 Failed, 0 Skipped"' in page
    assert '<svg class="canvas-graph"' not in page
    assert "Waiting" not in client_of(reader).get(f"{address}?drawn").content.decode()


# --- Logging in again -----------------------------------------------------------------------------


def test_a_form_from_before_the_log_in_learns_the_new_token(scene: Scene) -> None:
    journey = scene.journey()
    client = Client(enforce_csrf_checks=True)
    client.force_login(scene.member)
    address = url(journey, "panel", step_of(journey))
    data = posted(scene, journey)

    old = client.post(address, data, headers={"HX-Request": "true", "X-CSRFToken": "a" * 64})
    plain = client.post(address, data)
    token = old.headers["X-CSRFToken"]
    again = client.post(address, data, headers={"HX-Request": "true", "X-CSRFToken": token})

    assert old.status_code == plain.status_code == 403
    assert "X-CSRFToken" not in plain.headers
    assert again.status_code == 204
