"""What the benchmark of pages asks for: whole pages, and the parts that htmx fetches into them."""

import html
import re
from html.parser import HTMLParser
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from benchmarks.scenario import Scenario
from identity.models import Audience
from journeys.models import Run
from webhooks.models import Delivery


class Asked(NamedTuple):
    """An address, and what is posted to it; None is a GET."""

    address: str
    data: dict[str, Any] | None = None


def client_of(setting: Scenario) -> Client:
    client = Client(headers={"host": settings.ALLOWED_HOSTS[0].lstrip(".") or "localhost"})
    client.force_login(setting.member)
    return client


def pages(client: Client, setting: Scenario, made: Run) -> dict[str, Asked]:
    slug, journey, sent = setting.workspace.slug, made.journey_id, _delivered()
    deliveries = reverse("journeys:deliveries", args=[slug])
    events = reverse("journeys:events", args=[slug])
    recorded = reverse("admin:webhooks_delivery_changelist")
    found = {
        "journeys": reverse("journeys:list", args=[slug]),
        "run": reverse("journeys:run", args=[slug, journey, made.pk]),
        "canvas": reverse("journeys:editor", args=[slug, journey]),
        "versions": reverse("journeys:versions", args=[slug, journey]),
        "notices": reverse("workspaces:notices"),
        "settings": reverse("workspaces:settings"),
        "deliveries": deliveries,
        "deliveries of a run": f"{deliveries}?run={made.pk}",
        "deliveries accepted": f"{deliveries}?run={made.pk}&state=delivered",
        "deliveries skipped": f"{deliveries}?run={made.pk}&state=skipped",
        "deliveries of a reason": f"{deliveries}?run={made.pk}&tally=skipped:no_id",
        "deliveries of a reason, all journeys": f"{deliveries}?tally=skipped:no_id",
        "deliveries of a rare reason, all journeys": f"{deliveries}?tally=dead:gone",
        "deliveries of a webhook": f"{deliveries}?webhook={setting.webhook.pk}",
        "deliveries of nobody": f"{deliveries}?run={made.pk}&state=dead",
        "deliveries of a run before": f"{deliveries}?run={made.pk}&until=2000-01-01T00:00",
        "deliveries of a person in a run": f"{deliveries}?run={made.pk}&person={sent.qaid}",
        "deliveries of a person": f"{deliveries}?person={sent.qaid}",
        "why": reverse("journeys:why", args=[slug, journey, made.pk, sent.qaid]),
        "audiences": reverse("journeys:audiences", args=[slug]),
        "audience": reverse("journeys:audience", args=[slug, _audience(setting, "list").pk]),
        "audience of rules": _builder(setting),
        "audience, new": reverse("journeys:audience_new", args=[slug]),
        "audience upload": reverse(
            "journeys:audience_upload", args=[slug, _audience(setting, "list").pk]
        ),
        "events": events,
        "events of a person": f"{events}?person={sent.qaid}",
        "people": reverse("journeys:people", args=[slug]),
        "person": reverse("journeys:person_page", args=[slug, sent.qaid]),
        "admin": reverse("admin:index"),
        "admin webhooks": reverse("admin:webhooks_webhook_changelist"),
        "admin webhook": reverse("admin:webhooks_webhook_change", args=[setting.webhook.pk]),
        "admin guide": reverse("admin:webhooks_webhook_guide", args=[setting.webhook.pk]),
        "admin webhook, new": reverse("admin:webhooks_webhook_add"),
        "admin webhook test": reverse("admin:webhooks_webhook_test", args=[setting.webhook.pk]),
        "admin deliveries failed": f"{recorded}?state=dead",
        "admin deliveries of a webhook": f"{recorded}?webhook={setting.webhook.pk}",
        "admin delivery": reverse("admin:webhooks_delivery_change", args=[sent.pk]),
        **_lists_of_the_set_up(),
    }
    following = re.search(r'href="([^"]+)" rel="next"', client.get(deliveries).content.decode())
    if following:
        found["deliveries, next page"] = deliveries + html.unescape(following.group(1))
    following = re.search(r'href="([^"]+)" rel="next"', client.get(events).content.decode())
    if following:
        found["events, next page"] = events + html.unescape(following.group(1))
    return {name: Asked(address) for name, address in found.items()}


def _lists_of_the_set_up() -> dict[str, str]:
    models = [each._meta for each in apps.get_models() if admin.site.is_registered(each)]
    return {
        f"admin {each.model_name}": reverse(f"admin:{each.app_label}_{each.model_name}_changelist")
        for each in models
    }


def fragments(client: Client, setting: Scenario, made: Run) -> dict[str, Asked]:
    slug, journey = setting.workspace.slug, made.journey_id
    draft = made.journey.draft
    step = [slug, journey, draft["steps"][0]["key"]]
    panel = reverse("journeys:panel", args=step)
    typed = fields_of(client.get(panel).content.decode())
    insert = typed | {"insert": "content"}
    variable = reverse("journeys:variable", args=step)
    dialog = fields_of(client.post(variable, insert).content.decode())
    test = reverse("journeys:test", args=step)
    tried = fields_of(client.post(test, typed).content.decode())
    tried["typed_id"] = [_delivered().sent_id]
    webhook = reverse("admin:webhooks_webhook_change", args=[setting.webhook.pk])
    typed_webhook = fields_of(client.get(webhook).content.decode())
    listed = [slug, _audience(setting, "list").pk]
    typed_rules = fields_of(client.get(_builder(setting)).content.decode())
    return {
        "new journey": Asked(reverse("journeys:create", args=[slug])),
        "rename": Asked(reverse("journeys:rename", args=[slug, journey])),
        "pause": Asked(reverse("journeys:pause", args=[slug, journey])),
        "stop": Asked(reverse("journeys:stop", args=[slug, journey])),
        "numbers of the canvas": Asked(reverse("journeys:numbers", args=[slug, journey])),
        "others": Asked(reverse("journeys:others", args=[slug, journey])),
        "new audience": Asked(reverse("journeys:audience_create", args=[slug])),
        "rename an audience": Asked(reverse("journeys:audience_rename", args=listed)),
        "rows of rules": Asked(reverse("journeys:audience_rows", args=[slug]), typed_rules),
        "values of a test": Asked(reverse("journeys:test_values", args=step), tried),
        "send again": Asked(reverse("journeys:send_again", args=[slug]) + f"?run={made.pk}"),
        "preview of a webhook": Asked(reverse("admin:webhooks_webhook_preview"), typed_webhook),
        "panel of a step": Asked(panel),
        "panel of the start": Asked(
            reverse("journeys:panel", args=[slug, journey, draft["start"]["key"]])
        ),
        "preview": Asked(reverse("journeys:preview", args=step), typed),
        "variable dialog": Asked(variable, insert),
        "variable preview": Asked(reverse("journeys:variable_preview", args=step), dialog),
        "test dialog": Asked(test, typed),
        "publish review": Asked(reverse("journeys:publish", args=[slug, journey]) + "?count=1"),
        "canvas part": Asked(reverse("journeys:canvas", args=[slug, journey])),
        "run numbers": Asked(reverse("journeys:run_numbers", args=[slug, journey, made.pk])),
        "find a person": Asked(
            reverse("journeys:person", args=[slug, journey, made.pk]),
            {"id": _delivered().sent_id},
        ),
        "rules in a sentence": Asked(
            reverse("journeys:audience_said", args=[slug]),
            typed_rules,
        ),
        "orders": Asked(reverse("journeys:orders", args=[slug])),
    }


def counts(client: Client, setting: Scenario, made: Run) -> dict[str, Asked]:
    """Return what counts people or events while its page stands there already."""
    slug, journey = setting.workspace.slug, made.journey_id
    rules, listed = _audience(setting, "rules"), _audience(setting, "list")
    people = "journeys:audience_people"
    typed = fields_of(client.get(_builder(setting)).content.decode())
    start = [slug, journey, made.journey.draft["start"]["key"]]
    step = [slug, journey, made.journey.draft["steps"][0]["key"]]
    panel = fields_of(client.get(reverse("journeys:panel", args=step)).content.decode())
    insert = panel | {"insert": "content"}
    dialog = client.post(reverse("journeys:variable", args=step), insert).content.decode()
    return {
        "audience count": Asked(reverse("journeys:audience_count", args=[slug]), typed),
        "audience people, rules": Asked(reverse(people, args=[slug, rules.pk]) + "?sample"),
        "audience people, list": Asked(reverse(people, args=[slug, listed.pk]) + "?sample"),
        "chosen audiences": Asked(reverse("journeys:start_people", args=start), {"kept": "1"}),
        "coverage": Asked(reverse("journeys:coverage", args=step), panel),
        "rates of variables": Asked(
            reverse("journeys:variable_rates", args=step), fields_of(dialog)
        ),
        "event types": Asked(reverse("journeys:event_summary", args=[slug])),
        "people by ID": Asked(reverse("journeys:people_census", args=[slug])),
        "audiences of a person": Asked(
            reverse("journeys:person_audiences", args=[slug, _delivered().qaid])
        ),
    }


def _audience(setting: Scenario, kind: str) -> Audience:
    return setting.workspace.audiences.get(kind=kind)


def _builder(setting: Scenario) -> str:
    return reverse(
        "journeys:audience", args=[setting.workspace.slug, _audience(setting, "rules").pk]
    )


def _delivered() -> Delivery:
    found = Delivery.objects.filter(state="delivered").exclude(sent_id="").first()
    assert found is not None
    return found


class _Fields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}
        self._open, self._is_text = "", False  # The select or textarea that is being read.

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        name = told.get("name") or ""
        if tag in ("select", "textarea"):
            self._open, self._is_text = name, tag == "textarea"
        elif tag == "option" and "selected" in told:
            self._put(self._open, told.get("value") or "")
        elif tag == "input" and (
            told.get("type") not in ("checkbox", "radio", "submit") or "checked" in told
        ):
            self._put(name, told.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("select", "textarea"):
            self._open, self._is_text = "", False

    def handle_data(self, data: str) -> None:
        if self._is_text:
            self._put(self._open, data.removeprefix("\n"))

    def _put(self, name: str, value: str) -> None:
        if name:
            self.found.setdefault(name, []).append(value)


def fields_of(page: str) -> dict[str, list[str]]:
    """Return what a browser would post of the forms in a page."""
    parser = _Fields()
    parser.feed(page)
    return parser.found
