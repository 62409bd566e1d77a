"""Who else has a journey open: for its workspace's members, by name, and not for long."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from journeys import presence
from journeys.models import Journey
from tests.journeys.factories import NOW, Scene, make_scene
from tests.webhooks.factories import make_member
from workspaces import members
from workspaces.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    cache.clear()
    return make_scene()


def others_of(user: User, journey: Journey, seconds: float = 0) -> list[str]:
    return presence.beat(journey=journey, user=user, now=NOW + timedelta(seconds=seconds))


def test_each_sees_the_others_and_nobody_themselves(scene: Scene) -> None:
    journey = scene.journey()
    mei = make_member(scene.workspace, name="Li Mei")
    nameless = make_member(scene.workspace, name="")

    assert others_of(mei, journey) == []
    assert others_of(mei, journey) == []
    assert others_of(nameless, journey) == ["Li Mei"]
    assert others_of(scene.member, journey) == ["Li Mei", "Somebody"]
    assert others_of(scene.member, scene.journey()) == []


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("en", "Li Mei, Wang Lei have this open"), ("zh-hans", "Li Mei、Wang Lei也打开了此活动")],
)
def test_several_are_named_with_the_comma_of_the_readers_language(
    scene: Scene, language: str, sentence: str
) -> None:
    journey = scene.journey()
    User.objects.update(language=language)
    for name in ("Li Mei", "Wang Lei"):
        presence.beat(
            journey=journey, user=make_member(scene.workspace, name=name), now=timezone.now()
        )
    client = Client()
    client.force_login(User.objects.get(pk=scene.member.pk))

    shown = client.get(reverse("journeys:others", args=[scene.workspace.slug, journey.pk]))

    assert sentence in shown.content.decode()


def test_who_says_nothing_for_45_seconds_is_gone(scene: Scene) -> None:
    journey = scene.journey()
    others_of(make_member(scene.workspace, name="Li Mei"), journey)

    assert others_of(scene.member, journey, 44) == ["Li Mei"]
    assert others_of(scene.member, journey, 45) == []


def test_who_left_the_workspace_is_not_named(scene: Scene) -> None:
    journey = scene.journey()
    mei = make_member(scene.workspace, name="Li Mei")
    others_of(mei, journey)

    members.remove_member(membership=mei.memberships.get(), actor=None)

    assert others_of(scene.member, journey) == []


def test_another_tenant_learns_nothing_and_is_not_noted(scene: Scene) -> None:
    journey = scene.journey()
    stranger = make_scene()
    client = Client()
    client.force_login(stranger.member)

    for slug in (scene.workspace.slug, stranger.workspace.slug):
        answer = client.get(reverse("journeys:others", args=[slug, journey.pk]))
        assert answer.status_code == 404
    assert others_of(scene.member, journey) == []


def test_the_cache_holds_no_names(scene: Scene) -> None:
    journey = scene.journey()
    others_of(scene.member, journey)

    assert cache.get(f"journeys.open:{journey.pk}") == {scene.member.pk: NOW.timestamp()}
