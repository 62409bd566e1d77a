"""The versions of a journey over HTTP; going back to one: ``test_views_runs``."""

import pytest
from django.test import Client
from django.urls import reverse

from tests.journeys.factories import make_scene

pytestmark = pytest.mark.django_db


def test_before_the_first_version_the_page_says_what_will_stand_there(client: Client) -> None:
    scene = make_scene()
    journey = scene.journey()
    client.force_login(scene.member)

    page = client.get(reverse("journeys:versions", args=[scene.workspace.slug, journey.pk]))

    assert page.status_code == 200
    assert "No version yet" in page.content.decode()
