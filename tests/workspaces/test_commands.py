"""The operator's way in: what the commands make, print and refuse."""

from io import StringIO
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client

from tests.factories import make_administrator, make_member, make_organization, make_workspace
from workspaces import permissions
from workspaces.choices import Preset, Via
from workspaces.models import AuditEntry, Organization, User, Workspace
from workspaces.points import Point

pytestmark = pytest.mark.django_db

NEW = "new@example.com"


def run(*arguments: str) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


def link_in(output: str) -> str:
    line = next(line for line in output.splitlines() if line.startswith(settings.SITE_URL))
    return urlsplit(line).path


def test_setup_makes_an_installation_that_its_administrator_can_log_in_to(client: Client) -> None:
    output = run(
        "setup",
        "--organization=Acme Retail",
        "--workspace=Acme China",
        "--time-zone=Asia/Shanghai",
        f"--email={NEW}",
    )

    workspace = Workspace.objects.get(slug="acme-china")
    user = User.objects.get(email=NEW)
    assert workspace.organization.slug == "acme-retail"
    assert workspace.time_zone == "Asia/Shanghai"
    assert workspace.id_types.exists()
    assert set(workspace.roles.values_list("preset", flat=True)) == set(Preset)
    assert permissions.administers_organization(user, workspace.organization)
    page = client.get(link_in(output), follow=True).redirect_chain[-1][0]
    password = "correct horse battery"
    client.post(page, {"password1": password, "password2": password})
    assert client.login(email=NEW, password=password)
    assert client.get("/admin/").status_code == 200


def test_setup_makes_nothing_when_one_answer_is_wrong() -> None:
    with pytest.raises(CommandError, match="time zone"):
        run(
            "setup",
            "--organization=Acme",
            "--workspace=Acme",
            "--time-zone=Mars/Olympus",
            f"--email={NEW}",
        )

    assert not Organization.objects.exists()


def test_setup_without_a_terminal_says_which_flag_is_missing() -> None:
    with pytest.raises(CommandError, match="Organization's name"):
        run("setup")


def test_the_three_commands_do_what_setup_does_step_by_step() -> None:
    run("create_organization", "Acme Retail", "--slug=acme")
    run("create_workspace", "acme", "Acme China", "--slug=acme-cn", "--language=zh-hans")
    run("add_member", NEW, "--workspace=acme-cn", "--role=marketer", "--role=Analyst")

    workspace = Workspace.objects.get(slug="acme-cn")
    user = User.objects.get(email=NEW)
    assert Point.REACH_MARKETING_WEBHOOK in permissions.points_of(user, workspace)
    assert set(AuditEntry.objects.values_list("via", flat=True)) == {Via.COMMAND}


def test_a_name_of_another_script_needs_a_slug() -> None:
    run("create_organization", "零售", "--slug=retail")

    assert Organization.objects.get(slug="retail").name == "零售"
    with pytest.raises(CommandError):
        run("create_organization", "商店")


def test_a_taken_slug_is_a_sentence() -> None:
    organization = make_organization()
    make_workspace(organization, slug="taken")

    with pytest.raises(CommandError, match="already exists"):
        run("create_workspace", organization.slug, "Other", "--slug=taken")


def test_an_unknown_role_names_those_that_exist() -> None:
    workspace = make_workspace()

    with pytest.raises(CommandError, match="Administrator"):
        run("add_member", NEW, f"--workspace={workspace.slug}", "--role=boss")

    assert not User.objects.filter(email=NEW).exists()


def test_an_unknown_workspace_names_those_that_exist() -> None:
    workspace = make_workspace()

    with pytest.raises(CommandError, match=workspace.slug):
        run("add_member", NEW, "--workspace=nowhere")


def test_as_somebody_the_command_has_their_rights_and_their_name() -> None:
    workspace = make_workspace()
    administrator, marketer = make_administrator(workspace), make_member(workspace)

    with pytest.raises(CommandError, match="may not do this"):
        run("add_member", NEW, f"--workspace={workspace.slug}", f"--as={marketer.email}")
    run("add_member", NEW, f"--workspace={workspace.slug}", f"--as={administrator.email}")

    entry = AuditEntry.objects.order_by("pk").last()
    assert entry is not None
    assert (entry.action, entry.actor, entry.via) == ("member.added", administrator, Via.COMMAND)


def test_a_lost_link_is_replaced_by_the_operator_alone(client: Client) -> None:
    workspace = make_workspace()
    administrator, member = make_administrator(workspace), make_member(workspace)

    output = run("add_member", member.email, "--link")
    assert not client.get(link_in(output), follow=True).context.get("token_fail")

    with pytest.raises(CommandError, match="operator"):
        run("add_member", member.email, "--link", f"--as={administrator.email}")


def test_an_organization_administrator_can_be_made_at_once() -> None:
    workspace = make_workspace()

    run("add_member", NEW, f"--workspace={workspace.slug}", "--organization-administrator")

    assert permissions.administers_organization(User.objects.get(email=NEW), workspace.organization)
