"""A part of a page that the database refuses leaves the rest of the page usable."""

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from journeys.models import Run
from tests.journeys.factories import Scene, make_scene
from tests.journeys.test_views_runs import publish
from tests.locking import unreadable

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def scene() -> Scene:
    return make_scene()


@pytest.fixture
def run(scene: Scene) -> Run:
    return publish(scene)


@pytest.fixture
def member(client: Client, scene: Scene) -> Client:
    client.force_login(scene.member)
    return client


@pytest.mark.parametrize(
    ("page", "table", "sentence", "rest"),
    [
        ("run", "webhooks_chunk", "The numbers of this run could not be read.", "Find a person"),
        ("editor", "webhooks_chunk", "The numbers under the steps could not be read.", "Publish"),
        ("list", "webhooks_testsend", "The first steps could not be read.", "New journey"),
    ],
)
def test_one_bad_part_does_not_blank_the_page(
    member: Client, scene: Scene, run: Run, page: str, table: str, sentence: str, rest: str
) -> None:
    arguments = {"run": [run.journey_id, run.pk], "editor": [run.journey_id], "list": []}[page]
    address = reverse(f"journeys:{page}", args=[scene.workspace.slug, *arguments])
    Run.objects.filter(pk=run.pk).update(started_at=run.starts_at)

    with unreadable(table):
        answer = member.get(address)
    shown = answer.content.decode()
    mended = member.get(address).content.decode()

    assert answer.status_code == 200
    assert f"{sentence} The rest of the page works." in shown
    assert "Try again" in shown
    assert run.journey.name in shown
    assert rest in shown
    assert sentence not in mended


def test_what_a_page_cannot_do_without_is_an_error(member: Client, scene: Scene, run: Run) -> None:
    address = reverse("journeys:list", args=[scene.workspace.slug])

    with unreadable("journeys_journey"), pytest.raises(OperationalError):
        member.get(address)
