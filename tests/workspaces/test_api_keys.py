"""Keys: shown once, kept as a hash, dead with their maker's rights."""

from datetime import timedelta
from typing import Any, cast

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from tests.factories import NOW, make_administrator, make_member, make_workspace, membership_of
from workspaces import api_keys, members
from workspaces.authentication import ApiClient, HasScope
from workspaces.choices import Scope
from workspaces.models import ApiKey, User, Workspace

pytestmark = pytest.mark.django_db


class EventsView(APIView):
    permission_classes = (HasScope,)
    required_scope = Scope.EVENTS_WRITE

    def get(self, request: Request) -> Response:
        client, key = cast("ApiClient", request.user), cast("ApiKey", request.auth)
        return Response({"workspace": client.workspace.slug, "key": key.name})


class UnscopedView(EventsView):
    required_scope = None  # type: ignore[assignment] # a view that forgot to name one


def make_key(workspace: Workspace, **fields: Any) -> api_keys.NewKey:
    defaults: dict[str, Any] = {"name": "CRM", "scopes": [Scope.EVENTS_WRITE], "actor": None}
    return api_keys.create(workspace=workspace, **{**defaults, **fields})


def call(authorization: str = "", view: type[APIView] = EventsView) -> Response:
    headers = {"Authorization": authorization} if authorization else {}
    response = view.as_view()(APIRequestFactory().get("/", headers=headers))
    assert isinstance(response, Response)
    return response


def test_a_key_speaks_for_its_workspace() -> None:
    workspace = make_workspace()

    response = call(f"Bearer {make_key(workspace).secret}")

    assert response.status_code == 200
    assert response.data == {"workspace": workspace.slug, "key": "CRM"}


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer key_00000000_x", "Basic abc"])
def test_without_a_good_key_the_answer_is_401(authorization: str) -> None:
    response = call(authorization)

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"


def test_the_right_prefix_with_the_wrong_rest_is_refused() -> None:
    secret = make_key(make_workspace()).secret

    assert call(f"Bearer {secret[:-1]}{'a' if secret[-1] != 'a' else 'b'}").status_code == 401


def test_a_key_without_the_scope_is_forbidden() -> None:
    secret = make_key(make_workspace(), scopes=[]).secret

    assert call(f"Bearer {secret}").status_code == 403


def test_a_view_that_names_no_scope_admits_no_key() -> None:
    secret = make_key(make_workspace()).secret

    assert call(f"Bearer {secret}", UnscopedView).status_code == 403


def test_the_database_does_not_hold_the_key() -> None:
    new = make_key(make_workspace())

    row = ApiKey.objects.filter(pk=new.key.pk).values().get()
    assert new.secret not in map(str, row.values())
    assert new.secret.startswith(row["prefix"])


def test_a_revoked_key_is_dead_from_that_moment() -> None:
    workspace = make_workspace()
    new = make_key(workspace)

    api_keys.revoke(key=new.key, actor=make_administrator(workspace), now=timezone.now())

    assert call(f"Bearer {new.secret}").status_code == 401


def test_an_expired_key_is_dead_at_the_very_second() -> None:
    new = make_key(make_workspace(), expires_at=NOW)

    assert api_keys.authenticate(new.secret, now=NOW - timedelta(seconds=1)) == new.key
    assert api_keys.authenticate(new.secret, now=NOW) is None


@pytest.mark.parametrize("end", ["deactivated", "suspended", "no longer administrator"])
def test_a_key_dies_with_its_makers_rights(end: str) -> None:
    workspace = make_workspace()
    maker = make_administrator(workspace)
    new = make_key(workspace, actor=maker)
    assert call(f"Bearer {new.secret}").status_code == 200

    match end:
        case "deactivated":
            User.objects.filter(pk=maker.pk).update(is_active=False)
        case "suspended":
            members.set_active(membership=membership_of(maker, workspace), active=False, actor=None)
        case _:
            members.set_roles(membership=membership_of(maker, workspace), roles=[], actor=None)

    assert call(f"Bearer {new.secret}").status_code == 401


def test_the_last_use_is_written_at_most_every_five_minutes() -> None:
    new = make_key(make_workspace())
    seen = []

    for minutes in (0, 1, 4, 6):
        api_keys.authenticate(new.secret, now=NOW + timedelta(minutes=minutes))
        seen.append(ApiKey.objects.get(pk=new.key.pk).last_used_at)

    assert seen == [NOW, NOW, NOW, NOW + timedelta(minutes=6)]


def test_only_administrators_make_keys() -> None:
    workspace = make_workspace()

    with pytest.raises(PermissionDenied):
        make_key(workspace, actor=make_member(workspace))
