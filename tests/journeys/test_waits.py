"""Why people wait, on the run's page."""

import re
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from journeys import runs
from tests.journeys.factories import make_scene
from tests.journeys.test_runner import publish, sweep
from webhooks import holding
from webhooks.choices import BreakerState, WebhookState
from webhooks.models import Chunk, WebhookControl
from workspaces.models import User

pytestmark = pytest.mark.django_db


def test_the_page_says_since_when_a_system_is_in_trouble_and_when_it_is_asked_again(
    client: Client,
) -> None:
    scene = make_scene()
    run = publish(scene, scene.journey())
    sweep()
    now = timezone.now()
    address = reverse("journeys:run_numbers", args=[scene.workspace.slug, run.journey_id, run.pk])
    client.force_login(scene.member)
    WebhookControl.objects.filter(webhook=scene.webhook).update(
        breaker=BreakerState.OPEN,
        breaker_reason="status_503",
        breaker_opened_at=now - timedelta(hours=1),
        breaker_until=now + timedelta(seconds=42),
    )
    shown = client.get(address).content.decode()
    assert "CRM coupons has been answering 503 since" in shown
    assert re.search(r"3 people wait\. The next try is in 4\d seconds\.", shown)

    WebhookControl.objects.update(breaker=BreakerState.PROBING)
    shown = client.get(address).content.decode()
    assert "3 people wait. A few requests are trying whether it works again." in shown
    assert "The next try" not in shown
    User.objects.update(language="zh-hans")
    assert "3 人等待发送。正在用少量请求试探是否恢复。" in client.get(address).content.decode()
    User.objects.update(language="en")

    WebhookControl.objects.update(
        breaker=BreakerState.CLOSED, breaker_until=None, breaker_opened_at=None, breaker_ramp=2
    )
    shown = client.get(address).content.decode()
    assert "has been answering" not in shown
    assert "CRM coupons works again and is taken up slowly: 2 requests at once so far." in shown

    WebhookControl.objects.update(breaker_ramp=0)
    assert "taken up slowly" not in client.get(address).content.decode()
    Chunk.objects.update(due_at=now - timedelta(minutes=2))
    shown = client.get(address).content.decode()
    assert "no sender is running" in shown
    holding.hold(
        workspace=scene.workspace, actor=None, chosen=holding.selection(webhook=scene.webhook)
    )
    shown = client.get(address).content.decode()
    assert "An operator holds 3 people back." in shown
    assert "no sender is running" not in shown


@pytest.mark.parametrize(
    "trouble",
    [
        {"breaker": BreakerState.OPEN},
        {"breaker": BreakerState.PROBING},
        {"state": WebhookState.PAUSED},
    ],
)
def test_no_rate_and_no_time_left_are_told_while_nobody_can_be_sent_to(
    trouble: dict[str, str],
) -> None:
    scene = make_scene()
    run = publish(scene, scene.journey())
    sweep()
    Chunk.objects.filter(plan__webhook=scene.webhook).update(delivered=1, queued=2, unsent=2)
    later = run.starts_at + timedelta(minutes=1)
    run.refresh_from_db()
    assert runs.progress_of(run, now=later).seconds_left

    cache.clear()
    WebhookControl.objects.filter(webhook=scene.webhook).update(**trouble)
    progress = runs.progress_of(run, now=later)
    assert (progress.rate, progress.seconds_left) == (0, None)
