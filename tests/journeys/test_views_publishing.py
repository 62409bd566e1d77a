"""The review before publishing over HTTP: what it says is missing, and where that is."""

import pytest
from django.test import Client
from django.urls import reverse

from journeys.forms.webhook import field_name
from journeys.models import Journey
from tests.journeys.factories import Scene, grant, make_scene
from tests.webhooks.factories import make_webhook
from webhooks.choices import ParameterType

pytestmark = pytest.mark.django_db


def review_of(scene: Scene, journey: Journey) -> str:
    client = Client()
    client.force_login(scene.member)
    address = reverse("journeys:publish", args=[scene.workspace.slug, journey.pk])
    return client.get(address, {"count": ""}).content.decode()


def test_a_missing_value_names_its_step_and_parameter_and_leads_to_the_field() -> None:
    scene = make_scene()
    worth = {"name": "p_2", "display_name": "Coupon worth", "type": ParameterType.NUMERIC}
    text = {"name": "p_1", "display_name": "Content", "type": ParameterType.TEXT, "order": 0}
    webhook = make_webhook(
        scene.workspace, parameters=[text, {**worth, "order": 1}], id_types=[scene.mobile]
    )
    grant(scene.member, webhook)
    made_with = {"webhook": webhook.pk, "variables": {}}
    journey = scene.journey(
        steps=[
            scene.config(**made_with, values={"p_1": "Dear member", "p_2": "20"}),
            scene.config(**made_with, values={"p_1": "Dear member", "p_2": "many"}),
            scene.config(**made_with, values={"p_1": "", "p_2": "20"}, id_type=None),
        ]
    )

    page = review_of(scene, journey)

    assert "3 things are missing" in page
    assert "“Coupon worth” in the step “Step 2”: Enter a number." in page
    assert "“Content” in the step “Step 3”: Enter a value." in page
    assert page.count("Enter a value.") == 2  # The sentence, and the name of its link.
    third = journey.draft["steps"][2]["key"]
    assert f"?step={third}&amp;field={field_name('p_1')}" in page
    # What concerns the step as a whole has the step's name beside it.
    assert 'Choose the ID type to send.<span class="meta checklist-meta">Step 3</span>' in page


def test_a_sentence_shortens_the_names_in_it() -> None:
    scene = make_scene()
    journey = scene.journey(steps=[scene.config(values={"content": ""}, variables={})])
    scene.rename_step(journey, "Long name " * 20)

    page = review_of(scene, journey)

    assert f"in the step “{('Long name ' * 20)[:59]}…”: Enter a value." in page


def test_when_and_whom_it_starts_with_are_said_once() -> None:
    scene = make_scene()

    page = review_of(scene, scene.journey())

    assert "<dd>At once</dd>" in page
    assert "<dd>Members</dd>" in page
    assert "known by Mobile" in page
