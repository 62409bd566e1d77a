"""Identity in the set-up: what an administrator does there, and what stays as it is."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from identity import people
from identity.choices import AudienceKind, IdKind
from identity.models import (
    EventAttribute,
    EventType,
    IdType,
    MappingConflict,
    MappingKey,
    Profile,
    Tag,
)
from tests.factories import make_administrator, make_member, make_workspace
from tests.identity.factories import (
    NOW,
    make_audience,
    make_event,
    make_event_type,
    make_identifier,
    make_profile,
    make_tag,
)
from tests.reading import heading, told
from workspaces.models import AuditEntry, Workspace
from workspaces.points import Point

pytestmark = pytest.mark.django_db


@pytest.fixture
def home() -> Workspace:
    return make_workspace()


@pytest.fixture
def client(home: Workspace) -> Client:
    client = Client()
    client.force_login(make_administrator(home))
    return client


@pytest.fixture
def data_manager(home: Workspace) -> Client:
    """May manage data, and may not see people in clear."""
    client = Client()
    client.force_login(make_member(home, None, points=[Point.MANAGE_DATA]))
    return client


def url(model: str, page: str, *arguments: Any) -> str:
    return reverse(f"admin:identity_{model}_{page}", args=arguments)


def errors(response: Any) -> list[str]:
    form = response.context["adminform"].form
    return [str(error) for found in form.errors.values() for error in found]


def id_type_fields(id_type: IdType, **changes: Any) -> dict[str, Any]:
    names = (
        "name",
        "priority",
        "kind",
        "multi_value",
        "enabled",
        "in_mapping",
        "sensitive",
        "pick",
    )
    fields = {name: getattr(id_type, name) for name in names} | changes
    return {name: value for name, value in fields.items() if value is not False}


# --- ID types ---------------------------------------------------------------------------------


def test_an_own_id_type_is_made_and_its_code_stays(client: Client, home: Workspace) -> None:
    made = client.post(
        url("idtype", "add"),
        {"code": "CARD", "name": "Card", "priority": 50, "kind": "text", "pick": "latest"},
    )
    card = home.id_types.get(code="CARD")
    client.post(
        url("idtype", "change", card.pk), {**id_type_fields(card, name="Loyalty card"), "code": "X"}
    )

    card.refresh_from_db()
    assert made.status_code == 302
    assert (card.code, card.name) == ("CARD", "Loyalty card")
    assert AuditEntry.objects.filter(action="idtype.changed").exists()


def test_the_sixth_type_in_mapping_is_refused(client: Client, home: Workspace) -> None:
    IdType.objects.filter(workspace=home, code="TAOBAO_ID").update(in_mapping=True)
    sixth = home.id_types.get(code="ALIPAY_ID")

    response = client.post(
        url("idtype", "change", sixth.pk), id_type_fields(sixth, in_mapping=True)
    )

    assert errors(response) == [
        "Five ID types take part in ID Mapping already. Take one of them out first."
    ]


def test_a_type_joins_mapping_with_the_values_there_are(client: Client, home: Workspace) -> None:
    taobao = home.id_types.get(code="TAOBAO_ID")
    person = make_profile(home)
    make_identifier(person, taobao, "t-1", source=home.data_sources.get())

    client.post(url("idtype", "change", taobao.pk), id_type_fields(taobao, in_mapping=True))
    assert MappingKey.objects.get(id_type=taobao).profile == person
    client.post(url("idtype", "change", taobao.pk), id_type_fields(taobao))
    assert not MappingKey.objects.filter(id_type=taobao).exists()


def test_a_type_with_shared_values_cannot_join_mapping(client: Client, home: Workspace) -> None:
    taobao, source = home.id_types.get(code="TAOBAO_ID"), home.data_sources.get()
    for _person in range(2):
        make_identifier(make_profile(home), taobao, "t-1", source=source)

    response = client.post(
        url("idtype", "change", taobao.pk), id_type_fields(taobao, in_mapping=True)
    )

    assert errors(response) == [
        "1 values belong to several people, so that this type cannot take part in ID Mapping."
    ]


def test_the_kind_of_a_used_type_stays_and_it_cannot_be_deleted(
    client: Client, home: Workspace
) -> None:
    taobao = home.id_types.get(code="TAOBAO_ID")
    make_identifier(make_profile(home), taobao, "t-1", source=home.data_sources.get())

    response = client.post(
        url("idtype", "change", taobao.pk), id_type_fields(taobao, kind=IdKind.DIGITS)
    )

    assert errors(response) == ["People have values of this type, so its kind cannot change."]
    assert client.get(url("idtype", "delete", taobao.pk)).status_code == 403
    assert client.get(url("datasource", "delete", home.data_sources.get().pk)).status_code == 403


# --- tags and event types ---------------------------------------------------------------------


def test_a_deleted_tag_takes_its_values_along(client: Client, home: Workspace) -> None:
    tag = make_tag(home, "city")
    person = make_profile(home, tags={"city": "Bath", "name": "Ann"})

    client.post(url("tag", "delete", tag.pk), {"post": "yes"})

    person.refresh_from_db()
    assert not Tag.objects.exists()
    assert (person.tags, list(person.tag_times)) == ({"name": "Ann"}, ["name"])


def test_an_event_type_is_made_with_its_attributes(client: Client, home: Workspace) -> None:
    response = client.post(
        url("eventtype", "add"),
        {
            "code": "purchase",
            "name": "Purchase",
            "attributes-TOTAL_FORMS": 1,
            "attributes-INITIAL_FORMS": 0,
            "attributes-0-code": "amount",
            "attributes-0-name": "Amount",
            "attributes-0-type": "number",
        },
    )

    assert response.status_code == 302, response.context["errors"]
    event_type = home.event_types.get()
    assert event_type.attributes.get().type == "number"


def test_an_attribute_keeps_its_type_and_a_type_with_events_stays(
    client: Client, home: Workspace
) -> None:
    event_type = make_event_type(home)
    attribute = event_type.attributes.get()
    make_event(make_profile(home), event_type)

    client.post(
        url("eventtype", "change", event_type.pk),
        {
            "name": "Purchase",
            "attributes-TOTAL_FORMS": 1,
            "attributes-INITIAL_FORMS": 1,
            "attributes-0-id": attribute.pk,
            "attributes-0-event_type": event_type.pk,
            "attributes-0-code": "other",
            "attributes-0-name": "Amount paid",
            "attributes-0-type": "text",
        },
    )

    assert EventAttribute.objects.values_list("code", "name", "type").get() == (
        "amount",
        "Amount paid",
        "number",
    )
    assert client.get(url("eventtype", "delete", event_type.pk)).status_code == 403
    assert EventType.objects.exists()


# --- audiences --------------------------------------------------------------------------------


RULES = {
    "match": "all",
    "conditions": [
        {"tag": "city", "operator": "equals", "value": "Bath"},
        {"id_type": "MOBILE", "operator": "has"},
    ],
}


def test_the_rules_of_an_audience_are_read_out_and_changed_in_the_console(
    client: Client, home: Workspace
) -> None:
    make_tag(home, "city", name="City")
    audience = make_audience(home, name="Bath", kind=AudienceKind.RULES, rules=RULES)

    page = client.get(url("audience", "change", audience.pk)).content.decode()

    mobile = home.id_types.get(code="MOBILE").name
    assert f"People where City is “Bath” and {mobile} is known." in page
    assert "&quot;conditions&quot;" not in page
    assert f'href="{reverse("journeys:audience", args=[home.slug, audience.pk])}"' in page
    assert 'name="rules"' not in page
    assert 'name="_save"' not in page


def test_an_audience_of_the_set_up_is_neither_made_changed_nor_deleted(
    client: Client, home: Workspace
) -> None:
    audience = make_audience(home, people=[make_profile(home)], name="Spring")
    change = url("audience", "change", audience.pk)

    answers = [
        client.get(url("audience", "add")),
        client.post(url("audience", "add"), {"name": "Other", "kind": "list"}),
        client.post(change, {"name": "Other"}),
        client.post(url("audience", "delete", audience.pk), {"post": "yes"}),
    ]

    assert [answer.status_code for answer in answers] == [403] * 4
    assert client.get(change).status_code == 200
    assert [each.name for each in home.audiences.all()] == ["Spring"]


def test_the_first_audience_is_made_in_the_console(client: Client, home: Workspace) -> None:
    page = client.get(url("audience", "changelist")).content.decode()

    assert page.count("button-primary") == 1
    assert f'href="{reverse("journeys:audiences", args=[home.slug])}">Open in the console' in page


def test_the_list_of_audiences_counts_each_list_in_one_query(
    client: Client, home: Workspace
) -> None:
    people = [make_profile(home) for _ in range(3)]
    make_audience(home, people=people)
    client.get(url("audience", "changelist"))

    with CaptureQueriesContext(connection) as few:
        client.get(url("audience", "changelist"))
    for _audience in range(5):
        make_audience(home, people=people[:1])
    with CaptureQueriesContext(connection) as many:
        page = client.get(url("audience", "changelist"))

    assert len(many) == len(few)
    sizes = [row.listed for row in page.context["cl"].result_list]
    assert sorted(sizes) == [1, 1, 1, 1, 1, 3]


# --- people -----------------------------------------------------------------------------------


@pytest.fixture
def person(home: Workspace) -> Profile:
    make_tag(home, "city")
    person = make_profile(home, tags={"city": "Bath"})
    source = home.data_sources.get()
    make_identifier(person, home.id_types.get(code="MOBILE"), "13800000001", source=source)
    make_event(person, make_event_type(home), attributes={"amount": 4711})
    make_audience(home, people=[person], name="Spring")
    return person


def test_a_person_is_found_by_a_whole_id_and_shown_in_clear(
    client: Client, home: Workspace, person: Profile
) -> None:
    make_profile(home)

    found = client.get(url("profile", "changelist"), {"q": "138 0000 0001"})
    page = client.get(url("profile", "change", person.pk)).content.decode()

    assert [row.pk for row in found.context["cl"].result_list] == [person.pk]
    assert all(part in page for part in ("13800000001", "Bath", "4711", "Spring"))


def test_without_the_right_values_are_masked_and_tags_hidden(
    data_manager: Client, person: Profile
) -> None:
    found = data_manager.get(url("profile", "changelist"), {"q": "13800000001"})
    page = data_manager.get(url("profile", "change", person.pk)).content.decode()

    assert [row.pk for row in found.context["cl"].result_list] == [person.pk]
    assert "138****0001" in page
    assert not any(part in page for part in ("13800000001", "Bath", "4711"))


def test_another_tenants_person_is_not_found(client: Client, person: Profile) -> None:
    stranger = Client()
    stranger.force_login(make_administrator(make_workspace()))

    found = stranger.get(url("profile", "changelist"), {"q": "13800000001"})

    assert list(found.context["cl"].result_list) == []
    assert stranger.get(url("profile", "change", person.pk)).status_code == 404


def test_a_person_is_a_record(client: Client, person: Profile) -> None:
    assert client.get(url("profile", "add")).status_code == 403
    assert client.post(url("profile", "change", person.pk), {"tags": "{}"}).status_code == 403
    assert client.get(url("profile", "delete", person.pk)).status_code == 403


def test_people_are_called_by_an_id_and_qaids_are_details(
    client: Client, data_manager: Client, home: Workspace
) -> None:
    source, mobile = home.data_sources.get(), home.id_types.get(code="MOBILE")
    ann = make_profile(home, qaid=7_654_321)
    make_identifier(ann, mobile, "13800000001", source=source)
    make_profile(home, qaid=7_654_322, merged_into=ann)
    bob = make_profile(home, qaid=7_654_323)
    conflict = MappingConflict.objects.create(
        workspace=home,
        id_type=mobile,
        decided_by=mobile,
        values=["13800000001", "13800000009"],
        kept=ann,
        other=bob,
        data_source=source,
        detected_at=NOW,
    )
    addresses = [
        url("profile", "changelist"),
        url("profile", "change", ann.pk),
        url("profile", "history", ann.pk),
        url("mappingconflict", "changelist"),
        url("mappingconflict", "change", conflict.pk),
    ]

    for address in addresses:
        seen, masked = (each.get(address).content.decode() for each in (client, data_manager))
        assert "13800000001" in told(seen), address
        assert "138****0001" in told(masked), address
        assert "13800000001" not in masked, address
        assert "76543" not in told(seen), address
    page = client.get(url("profile", "change", ann.pk)).content.decode()
    assert heading(page) == "13800000001"
    assert "7654322" in page
    assert "Person without an ID" in told(client.get(addresses[0]).content.decode())


def test_whoever_is_known_by_a_rare_type_alone_is_called_by_it(
    client: Client, home: Workspace
) -> None:
    enabled = home.id_types.enabled().order_by("priority")
    assert len(enabled) > people.NAMING_TYPES
    rare = enabled.reverse()[0]
    make_identifier(make_profile(home), rare, "the-only-one", source=home.data_sources.get())

    assert "the-only-one" in client.get(url("profile", "changelist")).content.decode()


def test_the_list_of_people_names_them_in_one_look(client: Client, home: Workspace) -> None:
    make_profile(home)
    client.get(url("profile", "changelist"))

    with CaptureQueriesContext(connection) as few:
        client.get(url("profile", "changelist"))
    for _person in range(5):
        make_profile(home)
    with CaptureQueriesContext(connection) as many:
        client.get(url("profile", "changelist"))

    assert len(many) == len(few)
