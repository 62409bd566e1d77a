"""Lists of the set-up without rows, and what is asked before something is deleted."""

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils.safestring import mark_safe

from identity.models import Audience, DataSource, EventType, Tag
from tests.factories import (
    make_administrator,
    make_member,
    make_operator,
    make_workspace,
    membership_of,
)
from tests.identity.factories import make_tag
from tests.reading import heading, told
from tests.webhooks.factories import make_choice_list, make_webhook
from webhooks.models import Webhook
from workspaces import api_keys, audit, member_groups
from workspaces.choices import Scope
from workspaces.models import (
    ApiKey,
    AuditEntry,
    MemberGroup,
    Membership,
    Organization,
    Role,
    User,
    Workspace,
)
from workspaces.templatetags.setup import labelled

pytestmark = pytest.mark.django_db


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def address(model: type[Model], page: str = "changelist", *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


def shown(client: Client, url: str) -> tuple[Any, str]:
    answer = client.get(url)
    assert answer.status_code == 200, url
    return answer, answer.content.decode()


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_list_without_anything_tells_what_it_will_hold(language: str) -> None:
    make_workspace()
    operator = make_operator()
    operator.language = language
    operator.save()
    client = logged_in(operator)
    empty = []
    for model in admin.site._registry:
        answer, text = shown(client, address(model))
        about = str(answer.context["setup_page"].about)
        assert about, f"Nothing says what the list of {model._meta.label} holds."
        if answer.context["cl"].result_list:
            continue
        empty.append(model._meta.label_lower)
        may_add = answer.context["has_add_permission"]
        assert f"<p>{about}</p>" in text, model
        # Audiences are made in the console: the button leads there.
        buttons = 1 if may_add or model is Audience else 0
        assert text.count("button-primary") == buttons, model
        assert (f'class="button button-primary" href="{address(model, "add")}' in text) == may_add
        assert 'id="changelist-search"' not in text, model
        assert 'id="changelist-filter"' not in text, model
    assert {"workspaces.membergroup", "webhooks.webhook", "webhooks.attempt"} <= {*empty}


@pytest.mark.parametrize(("language", "word"), [("en", "Apply"), ("zh-hans", "应用")])
def test_what_was_chosen_for_the_rows_is_applied(language: str, word: str) -> None:
    make_workspace()
    operator = make_operator()
    operator.language = language
    operator.save()

    _, text = shown(logged_in(operator), address(User))

    assert f'name="index" value="0">{word}</button>' in text


def test_names_of_kinds_stand_apart_from_chinese_where_they_are_latin() -> None:
    workspace = make_workspace()
    operator = make_operator()
    operator.language = "zh-hans"
    operator.save()
    client = logged_in(operator)
    make_webhook(workspace=workspace)

    _, menu = shown(client, "/admin/")
    _, listed = shown(client, address(Webhook))
    _, none = shown(client, address(ApiKey))
    _, nothing = shown(client, f"{address(Webhook)}?q=zz-nobody")
    _, adding = shown(client, address(ApiKey, "add"))
    _, people = shown(client, address(User))

    assert "添加 Webhook" in told(listed)
    assert 'aria-label="添加数据源"' in menu
    assert 'aria-label="添加 ID 类型"' in menu
    assert "暂无 API 密钥" in told(none)
    assert "没有匹配的 Webhook" in told(nothing)
    assert heading(adding) == "添加 API 密钥"
    assert "删除所选账号" in people


def test_a_list_in_which_nothing_matches_says_so_and_clears_the_search() -> None:
    make_workspace()
    client = logged_in(make_operator())
    for model, model_admin in admin.site._registry.items():
        if not model_admin.search_fields:
            continue
        _, text = shown(client, f"{address(model)}?q=zz-nobody")
        assert "Nothing is found for “zz-nobody”." in text, model
        assert '<a class="button" href="?">' in text, model
        assert 'id="changelist-search"' in text, model


def test_a_filter_that_leaves_nothing_is_not_taken_for_first_use() -> None:
    client = logged_in(make_administrator(make_workspace()))

    _, filtered = shown(client, "/admin/workspaces/membership/?is_active__exact=0")
    _, paged = shown(client, "/admin/webhooks/redelivery/?after=1")
    _, plain = shown(client, "/admin/webhooks/redelivery/")

    assert "No orders to send again yet" in plain
    assert "No orders to send again yet" not in paged
    assert "No matching workspace members" in filtered
    assert "Nothing has what the filter asks for." in filtered
    assert '<a class="button" href="?">' in filtered


@pytest.fixture
def group() -> MemberGroup:
    workspace = make_workspace()
    administrator = make_administrator(workspace)
    return member_groups.create_group(
        workspace=workspace,
        name="Spring team",
        memberships=[membership_of(administrator, workspace)],
        actor=administrator,
    )


def test_what_deletes_for_good_has_the_button_that_warns(group: MemberGroup) -> None:
    webhook = make_webhook(group.workspace)
    client = logged_in(group.members.get().user)
    chosen = {"action": "delete_selected", "_selected_action": [group.members.get().user.pk]}
    pages = [
        shown(client, address(MemberGroup, "delete", group.pk))[1],
        shown(client, address(type(webhook), "delete", webhook.pk))[1],
        logged_in(make_operator()).post(address(User), chosen).content.decode(),
    ]

    for page in pages:
        assert page.count("button-danger") == 1
        assert "button-primary" not in page


def test_the_question_before_deleting_names_no_rows_of_the_code(group: MemberGroup) -> None:
    answer, text = shown(
        logged_in(group.members.get().user), address(MemberGroup, "delete", group.pk)
    )

    assert "Spring team" in text
    assert "relationship" not in text
    assert " object (" not in text
    assert answer.context["model_count"] == []


def test_the_question_before_deleting_counts_what_goes_along_and_not_the_thing_itself(
    group: MemberGroup,
) -> None:
    client = logged_in(group.members.get().user)
    choices = make_choice_list(group.workspace, "app", "mail")

    _, alone = shown(client, address(MemberGroup, "delete", group.pk))
    _, along = shown(client, address(type(choices), "delete", choices.pk))

    assert "“Spring team” goes for good. Nothing else goes with it." in alone
    assert "Show each of them" not in alone
    assert "<dt>Choices</dt><dd>2</dd>" in along
    assert "Choice list: " not in along
    assert along.count("<dt>") == 1


def test_the_question_about_chosen_rows_is_in_the_products_words(group: MemberGroup) -> None:
    chosen = {"action": "delete_selected", "_selected_action": [group.members.get().user.pk]}

    text = logged_in(make_operator()).post(address(User), chosen).content.decode()

    assert heading(text) == "Delete chosen accounts"
    assert "Delete multiple objects" not in text


def test_of_the_columns_that_sort_a_list_the_first_alone_has_an_arrow(group: MemberGroup) -> None:
    _, text = shown(logged_in(group.members.get().user), address(DataSource))

    assert text.count('aria-sort="ascending"') + text.count('aria-sort="descending"') == 1
    assert text.count("#arrow-up") + text.count("#arrow-down") == 1


def test_a_choice_of_nothing_is_said_in_words(group: MemberGroup) -> None:
    client = logged_in(group.members.get().user)

    _, workspace = shown(logged_in(make_operator()), address(Workspace, "add"))
    _, tag = shown(client, address(Tag, "add"))
    _, members = shown(client, address(Membership))

    assert "-----" not in workspace + tag
    assert re.search(r'<option value="" selected>Not chosen<', workspace)
    assert re.search(r"isnull=True[^>]*>No role<", members)


def test_a_role_tells_its_permissions_one_a_line_in_the_order_of_its_form(
    group: MemberGroup,
) -> None:
    _, text = shown(logged_in(group.members.get().user), address(Role))

    row = text[text.index(">Marketer<") :]
    assert re.findall(r"<div>(User Marketing[^<]*)</div>", row) == [
        "User Marketing-Reach Marketing-Webhook",
        "User Marketing-Automated Marketing",
        "User Marketing-Automated Marketing-Publish",
        "User Marketing-Deliveries",
        "User Marketing-Deliveries-Send Again",
    ]


def test_related_rows_that_nobody_can_add_are_not_there_before_there_is_one(
    group: MemberGroup,
) -> None:
    _, organization = shown(logged_in(make_operator()), address(Organization, "add"))
    _, event_type = shown(logged_in(group.members.get().user), address(EventType, "add"))

    assert re.search(r'id="members-group"[^>]* hidden>', organization)
    assert not re.search(r'id="attributes-group"[^>]* hidden>', event_type)
    assert "Add event attribute" in event_type
    assert "Add another" not in event_type.split('id="attributes-group"')[1].split(">")[0]


def test_a_history_tells_names_years_and_fields_as_the_other_pages_do(group: MemberGroup) -> None:
    user = group.members.get().user
    changes = {"name": ["Team", "Spring team"]}
    audit.record(
        actor=user, workspace=group.workspace, action="member_group.renamed", obj=group,
        changes=changes,
    )  # fmt: skip

    _, text = shown(logged_in(user), address(MemberGroup, "history", group.pk))

    box, host = user.email.split("@")
    assert f'{user.name} <span class="meta">{box}@<wbr>{host}</span>' in text
    assert re.search(r"<time [^>]*>\d+ \w+ \d{4}, \d\d:\d\d</time>", text)
    assert re.search(r'<td data-label="Changes">Name</td>', text)


def test_an_empty_history_says_why(group: MemberGroup) -> None:
    user = group.members.get().user
    tag = make_tag(group.workspace, "nickname")

    _, text = shown(logged_in(user), address(Tag, "history", tag.pk))

    assert "Nobody has changed this one." in text


def test_after_a_changed_password_the_page_leads_on() -> None:
    _, text = shown(logged_in(make_operator()), reverse("admin:password_change_done"))

    assert heading(text) == "Password changed"
    assert "Your new password counts from the next log-in on." in text
    assert "To the set-up" in text


def test_groups_by_their_technical_names_have_no_page(group: MemberGroup) -> None:
    client = logged_in(make_operator())

    assert not admin.site.is_registered(Group)
    assert client.get("/admin/auth/group/").status_code == 404
    for url in ("/admin/workspaces/membergroup/", "/admin/workspaces/role/", "/admin/"):
        _, text = shown(client, url)
        assert str(group.key) not in text
    assert "Spring team" in shown(client, "/admin/workspaces/membergroup/")[1]


def test_the_audit_list_names_the_workspace_to_whoever_has_several() -> None:
    workspace = make_workspace(name="Music shop")
    administrator = make_administrator(workspace)
    audit.record(actor=administrator, workspace=workspace, action="tag.created", obj=workspace)
    client = logged_in(administrator)

    one, _ = shown(client, address(AuditEntry))
    second: Workspace = make_workspace()
    make_member(second, None)
    several, _ = shown(logged_in(make_operator()), address(AuditEntry))

    assert "workspace" not in one.context["cl"].list_display
    assert "workspace" in several.context["cl"].list_display


def test_keys_and_audit_entries_show_words_and_no_codes() -> None:
    workspace = make_workspace()
    administrator = make_administrator(workspace)
    client = logged_in(administrator)
    api_keys.create(
        workspace=workspace, name="Shop", scopes=[Scope.EVENTS_WRITE], actor=administrator
    )
    entry = AuditEntry.objects.get(action="api_key.created")

    keys = told(shown(client, address(ApiKey))[1])
    page = told(shown(client, address(AuditEntry, "change", entry.pk))[1])

    assert "Send events" in keys
    assert "events:write" not in keys
    assert "Kind of object API key" in page
    assert "workspaces.apikey" not in page


def test_a_key_is_a_record_in_words() -> None:
    workspace = make_workspace()
    key = api_keys.create(
        workspace=workspace, name="Shop", scopes=[Scope.EVENTS_WRITE], actor=None
    ).key
    client = logged_in(make_administrator(workspace))

    page = client.get(f"/admin/workspaces/apikey/{key.pk}/change/").content.decode()

    assert "Send events" in page
    assert "events:write" not in page
    assert key.prefix in page


@pytest.mark.parametrize("address", ["add/", "{}/change/", "{}/password/", "{}/history/"])
def test_the_pages_of_an_account_speak_the_products_words(address: str) -> None:
    operator = make_operator(language="zh-hans")
    client = logged_in(operator)

    page = client.get(f"/admin/workspaces/user/{address.format(operator.pk)}").content.decode()

    for word in ("LDAP", "Designates", "algorithm", "hash", "superuser", "超级用户", "salt"):
        assert word not in page, word


def test_a_new_password_of_an_account_is_never_none() -> None:
    operator = make_operator()
    client = logged_in(operator)

    answer = client.post(
        f"/admin/workspaces/user/{operator.pk}/password/",
        {"usable_password": "false", "unset-password": "1"},
    )

    operator.refresh_from_db()
    assert answer.status_code == 200
    assert operator.has_usable_password()


def test_an_account_has_the_history_page_of_everything_else() -> None:
    operator = make_operator(name="Wang Lei")
    audit.record(actor=operator, workspace=None, action="user.changed", obj=operator)
    client = logged_in(operator)

    page = client.get(f"/admin/workspaces/user/{operator.pk}/history/").content.decode()

    assert "History of Wang Lei" in page
    assert "Account: changed" in page


def test_log_in_addresses_are_looked_at_and_deleted_alone() -> None:
    operator = make_operator()
    address = EmailAddress.objects.create(user=operator, email=operator.email, primary=True)
    client = logged_in(operator)

    listed = client.get("/admin/account/emailaddress/").content.decode()
    shown = client.get(f"/admin/account/emailaddress/{address.pk}/change/").content.decode()

    assert "Log-in addresses" in listed
    assert "Main address" in listed
    assert 'name="user"' not in shown
    assert client.get("/admin/account/emailaddress/add/").status_code == 403
    client.post(f"/admin/account/emailaddress/{address.pk}/delete/", {"post": "yes"})
    assert not EmailAddress.objects.exists()


@pytest.mark.parametrize(
    "model_admin",
    [one for one in admin.site._registry.values() if one.search_fields],
    ids=lambda one: one.opts.label_lower,
)
def test_a_search_box_says_in_plain_words_what_it_searches(model_admin: Any) -> None:
    told = str(model_admin.search_help_text or "")

    assert told
    assert "QAID" not in told
    assert not told.endswith(".")


def test_what_a_row_does_not_know_is_left_out_on_phones() -> None:
    cells = [
        mark_safe(each)
        for each in (
            '<th class="field-name">A</th>',
            '<td class="field-ends nowrap">–</td>',
            '<td class="field-reason">Autumn – winter</td>',
        )
    ]
    headers = [{"text": name} for name in ("name", "ends", "reason")]

    assert list(labelled(cells, headers)) == [
        '<th class="field-name">A</th>',
        '<td data-label="Ends" class="phone-hide field-ends nowrap">–</td>',
        '<td data-label="Reason" class="field-reason">Autumn – winter</td>',
    ]
