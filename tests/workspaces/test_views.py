"""Logging in, landing, switching, the bell and one's own settings."""

import re

import pytest
from django.conf import settings
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone, translation

from tests.factories import (
    NOW,
    PASSWORD,
    make_administrator,
    make_head,
    make_member,
    make_organization,
    make_user,
    make_workspace,
    membership_of,
)
from workspaces import members, notices
from workspaces.choices import Preset
from workspaces.models import Notice, User, Workspace
from workspaces.points import Point
from workspaces.views import WorkspaceRequest, workspace_view

pytestmark = pytest.mark.django_db


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


# -- The frame


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Asia/Shanghai", "Asia/Shanghai (UTC+8)"),
        ("Asia/Kolkata", "Asia/Kolkata (UTC+5:30)"),
        ("America/Caracas", "America/Caracas (UTC-4)"),
        ("UTC", "UTC"),
    ],
)
def test_every_page_names_the_zone_of_its_times(zone: str, said: str) -> None:
    workspace = make_workspace(time_zone=zone)
    client = logged_in(make_administrator(workspace))

    for address in (f"/w/{workspace.slug}/journeys/", "/notices/", "/settings/"):
        assert f"Times in {said}</footer>" in client.get(address).content.decode()


@pytest.mark.parametrize(
    ("language", "names"), [("en", "Analyst, Marketer"), ("zh-hans", "分析人员、营销人员")]
)
def test_several_roles_are_parted_by_the_comma_of_the_readers_language(
    language: str, names: str
) -> None:
    workspace = make_workspace()
    user = make_member(workspace, Preset.MARKETER, language=language)
    membership_of(user, workspace).roles.add(workspace.roles.get(preset=Preset.ANALYST))

    assert names in logged_in(user).get("/settings/").content.decode()


# -- Log-in


def test_members_log_in_with_e_mail_and_password(client: Client) -> None:
    workspace = make_workspace()
    user = make_member(workspace)

    answer = client.post(
        "/accounts/login/", {"login": user.email.upper(), "password": PASSWORD}, follow=True
    )

    assert answer.redirect_chain[-1][0] == f"/w/{workspace.slug}/journeys/"


def test_a_session_from_before_the_log_in_is_not_taken_over(client: Client) -> None:
    user = make_member(make_workspace())
    planted = client.session
    planted["from"] = "somebody else"
    planted.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = str(planted.session_key)

    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})

    assert client.cookies[settings.SESSION_COOKIE_NAME].value != planted.session_key
    other = Client()
    other.cookies[settings.SESSION_COOKIE_NAME] = str(planted.session_key)
    assert other.get("/settings/").status_code == 302


def test_the_set_up_uses_the_same_log_in(client: Client) -> None:
    administrator = make_administrator(make_workspace())

    asked = client.get("/admin/")
    assert asked.headers["Location"].startswith("/admin/login/?next=/admin/")
    form = client.get(asked.headers["Location"])
    assert form.headers["Location"] == "/accounts/login/?next=/admin/"
    answer = client.post(
        form.headers["Location"],
        {"login": administrator.email, "password": PASSWORD, "next": "/admin/"},
    )
    assert answer.headers["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200


def test_nobody_signs_up(client: Client) -> None:
    fields = {"email": "x@example.com", "password1": PASSWORD, "password2": PASSWORD}

    assert client.post("/accounts/signup/", fields).status_code == 200
    assert not User.objects.filter(email="x@example.com").exists()


def test_an_inactive_user_does_not_log_in(client: Client) -> None:
    user = make_user(is_active=False)

    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})

    assert client.get("/settings/").status_code == 302


def test_a_session_dies_with_the_user() -> None:
    user = make_member(make_workspace())
    client = logged_in(user)
    assert client.get("/settings/").status_code == 200

    User.objects.filter(pk=user.pk).update(is_active=False)

    assert client.get("/settings/").status_code == 302


def test_guessing_passwords_is_slowed_down(client: Client) -> None:
    cache.clear()
    user = make_user()

    for _attempt in range(12):
        answer = client.post("/accounts/login/", {"login": user.email, "password": "wrong"})

    assert answer.status_code == 429 or "Too many" in answer.content.decode()
    cache.clear()


def test_a_redirect_after_log_in_stays_here(client: Client) -> None:
    user = make_member(make_workspace())

    answer = client.post(
        "/accounts/login/",
        {"login": user.email, "password": PASSWORD, "next": "https://evil.example/"},
    )

    assert "evil" not in answer.headers["Location"]


# -- Landing


@pytest.mark.parametrize(
    ("preset", "landing"),
    [
        (Preset.ADMINISTRATOR, "/admin/"),
        (Preset.DEVELOPER, "/admin/"),
        (Preset.MARKETER, "/w/{slug}/journeys/"),
        (Preset.ANALYST, "/w/{slug}/journeys/"),
    ],
)
def test_everybody_lands_where_their_work_is(preset: Preset, landing: str) -> None:
    workspace = make_workspace()
    client = logged_in(make_member(workspace, preset))

    assert client.get("/").headers["Location"] == landing.format(slug=workspace.slug)


def test_who_is_in_no_workspace_is_told_so() -> None:
    answer = logged_in(make_user()).get("/")

    assert answer.status_code == 200
    assert "no workspace" in answer.content.decode()


def test_who_is_only_invited_lands_on_the_invitation() -> None:
    workspace = make_workspace()
    user = make_user()
    members.add_member(
        workspace=workspace, email=user.email, actor=make_administrator(workspace), now=NOW
    )
    client = logged_in(user)

    assert client.get("/").headers["Location"] == "/notices/"
    assert workspace.name in client.get("/notices/").content.decode()


def test_entering_a_workspace_stays_until_another_is_entered() -> None:
    organization = make_organization()
    first, second = make_workspace(organization), make_workspace(organization)
    client = logged_in(make_head(organization))

    client.get(f"/w/{second.slug}/")
    assert client.get("/admin/").context["current_workspace"] == second
    client.get(f"/w/{first.slug}/")
    assert client.get("/admin/").context["current_workspace"] == first


def test_a_workspace_that_was_left_is_not_entered_again() -> None:
    first, second = make_workspace(), make_workspace()
    user = make_administrator(first)
    members.add_member(
        workspace=second,
        email=user.email,
        roles=[second.roles.get(preset=Preset.ADMINISTRATOR)],
        actor=None,
        now=NOW,
    )
    client = logged_in(user)
    client.get(f"/w/{second.slug}/")

    members.remove_member(membership=membership_of(user, second), actor=None)

    assert client.get("/admin/").context["current_workspace"] == first


@pytest.mark.parametrize(
    ("preset", "lines"),
    [
        (
            Preset.ADMINISTRATOR,
            ["Journeys", "People", "Audiences", "Events", "Deliveries", "Set-up"],
        ),
        (Preset.MARKETER, ["Journeys", "Audiences", "Events", "Deliveries"]),
        (Preset.ANALYST, ["Journeys", "Events", "Deliveries"]),
        (
            Preset.DEVELOPER,
            ["Journeys", "People", "Audiences", "Events", "Deliveries", "Set-up"],
        ),
    ],
)
def test_the_navigation_offers_what_may_be_used_and_all_of_it_opens(
    preset: Preset, lines: list[str]
) -> None:
    client = logged_in(make_member(make_workspace(), preset))

    nav = client.get("/settings/").context["frame"].nav

    assert [item["label"] for item in nav] == lines
    assert {client.get(item["url"]).status_code for item in nav} == {200}


# -- The guard


@workspace_view(Point.PUBLISH_JOURNEYS)
def guarded(request: WorkspaceRequest) -> HttpResponse:
    return HttpResponse(f"{request.workspace.slug} {timezone.get_current_timezone_name()}")


def ask(user: User, workspace: Workspace) -> HttpResponse:
    request = RequestFactory().get("/")
    request.user = user
    request.session = {}  # type: ignore[assignment] # all that the view does with it
    response = guarded(request, slug=workspace.slug)
    assert isinstance(response, HttpResponse)
    return response


def test_a_view_runs_in_the_workspaces_time_zone_and_leaves_it_again() -> None:
    workspace = make_workspace(time_zone="Asia/Shanghai")

    answer = ask(make_member(workspace), workspace)

    assert answer.content.decode() == f"{workspace.slug} Asia/Shanghai"
    assert timezone.get_current_timezone_name() == "UTC"


def test_a_workspaces_language_is_for_who_has_chosen_none() -> None:
    workspace = make_workspace(language="zh-hans")
    client = logged_in(make_administrator(workspace))
    page = client.get("/admin/")
    assert page.headers["Content-Language"] == "en" or 'lang="zh-hans"' in page.content.decode()
    assert '<html lang="zh-hans"' in page.content.decode()

    client.post("/language/", {"language": "en"})

    assert '<html lang="en"' in client.get("/admin/").content.decode()
    assert translation.get_language() == "en"


# -- Settings and the bell


def test_members_change_their_name_and_language_and_nothing_else() -> None:
    user = make_member(make_workspace())

    answer = logged_in(user).post(
        "/settings/",
        {
            "name": "Li Mei",
            "language": "zh-hans",
            "email": "other@example.com",
            "is_staff": "on",
            "is_superuser": "on",
        },
    )

    before, user = user.email, User.objects.get(pk=user.pk)
    assert answer.status_code == 302
    assert (user.name, user.language, user.email) == ("Li Mei", "zh-hans", before)
    assert not user.is_staff
    assert not user.is_superuser


def test_a_wrong_language_comes_back_with_the_form() -> None:
    answer = logged_in(make_member(make_workspace())).post("/settings/", {"language": "xx"})

    assert answer.status_code == 422


def test_the_language_menu_leads_back_but_never_away() -> None:
    client = logged_in(make_member(make_workspace()))

    back = client.post("/language/", {"language": "zh-hans", "next": "/settings/"})
    away = client.post("/language/", {"language": "en", "next": "https://evil.example/"})

    assert back.headers["Location"] == "/settings/"
    assert away.headers["Location"] == "/"


def test_the_bell_counts_lists_and_clears() -> None:
    workspace = make_workspace()
    user = make_member(workspace)
    notices.register("test_bell", "Run %(number)s has ended.")
    for number in (1, 2):
        notices.tell(
            workspace=workspace,
            kind="test_bell",
            params={"number": number},
            url="/settings/",
            to=[user],
        )
    client = logged_in(user)

    page = client.get("/notices/")
    assert page.context["frame"].unread == 2
    assert "Run 2 has ended." in page.content.decode()
    opened = client.post(f"/notices/{Notice.objects.latest('pk').pk}/")
    assert opened.headers["Location"] == "/settings/"
    assert client.get("/notices/").context["frame"].unread == 1
    client.post("/notices/read/")
    assert client.get("/notices/").context["frame"].unread == 0


def test_a_notice_of_somebody_else_is_not_there() -> None:
    workspace = make_workspace()
    notices.register("test_bell", "Run %(number)s has ended.")
    notices.tell(
        workspace=workspace,
        kind="test_bell",
        params={"number": 1},
        to=[make_member(workspace)],
    )

    answer = logged_in(make_member(workspace)).post(f"/notices/{Notice.objects.get().pk}/")

    assert answer.status_code == 404


def test_an_invitation_is_accepted_on_the_screen() -> None:
    workspace = make_workspace()
    user = make_user()
    added = members.add_member(
        workspace=workspace, email=user.email, actor=make_administrator(workspace), now=NOW
    )
    client = logged_in(user)
    address = f"/invitations/{added.membership.pk}/accept/"
    page = client.get("/notices/").content.decode()
    (form,) = re.findall(rf'<form method="post" action="{address}">.*?</form>', page)

    answer = client.post(address)

    assert '<button type="submit" class="button button-primary">Accept</button>' in form
    assert answer.headers["Location"] == f"/w/{workspace.slug}/"
    assert membership_of(user, workspace).is_active


def test_a_refusal_names_the_permission_and_whom_to_ask() -> None:
    workspace = make_workspace()
    administrator = make_administrator(workspace, name="Wang Lei")

    page = logged_in(make_member(workspace)).get("/admin/")

    assert page.status_code == 403
    assert administrator.email in page.content.decode()
