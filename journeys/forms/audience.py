"""The panel of the start *target audience*."""

from dataclasses import replace
from datetime import MAXYEAR, MINYEAR
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils import formats, timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from identity.models import Audience
from journeys.components.audience import AudienceConfig, When
from journeys.definition import Step
from journeys.forms.panels import PanelForm
from workspaces.sentences import listed
from workspaces.typed import whole


class AudienceForm(PanelForm):
    template = "journeys/_panel_audience.html"

    audiences = forms.CharField(label=gettext_lazy("Target audience"), required=False)
    when = forms.CharField(label=pgettext_lazy("time", "Start"), required=False)
    at = forms.CharField(
        label=gettext_lazy("Starts at"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )

    @classmethod
    def read(cls, data: QueryDict, step: Step) -> Step:
        config = AudienceConfig(
            audiences=tuple(filter(None, map(whole, data.getlist("audiences")))),
            when=When.AT if data.get("when") == When.AT else When.NOW,
        )
        at = data.get("at")
        found = {**config.to_json(), "at": at if _moment(at) else None}
        return replace(step, name=data.get("name", "").strip(), config=found)

    def build(self) -> None:
        zone = self.context.workspace.zone
        raw = self.step.config.get("at")
        moment = _moment(raw)
        if moment is not None and timezone.is_naive(moment):
            moment = timezone.make_aware(moment, zone)
        # What was typed is local time of the workspace; what is kept names its offset.
        config = {**self.step.config, "at": moment.isoformat() if moment else None}
        self.step = replace(self.step, config=config)
        if moment:
            self.fields["at"].initial = timezone.localtime(moment, zone).strftime("%Y-%m-%dT%H:%M")
        self.fields["at"].help_text = _("Time zone of the workspace: %(zone)s") % {
            "zone": self.context.workspace.time_zone
        }

    def text_of(self, place: str, value: Any) -> str:
        if place == "audiences":
            chosen = Audience.objects.filter(workspace=self.context.workspace, pk__in=value)
            return listed(sorted(chosen.values_list("name", flat=True))) or "–"
        if place == "when":
            return _("At a time") if value == When.AT else _("Now, when it is published")
        if place == "at" and (moment := _moment(value)):
            local = timezone.localtime(moment, self.context.workspace.zone)
            return formats.date_format(local, "DATETIME_FORMAT")
        return super().text_of(place, value)

    @property
    def chosen(self) -> AudienceConfig:
        return AudienceConfig.from_json(self.step.config)

    @property
    def is_at(self) -> bool:
        return self.chosen.when == When.AT

    @property
    def is_now(self) -> bool:
        return not self.is_at

    @property
    def choices(self) -> list[dict[str, Any]]:
        """Return the workspace's audiences, the chosen ones first; nobody is counted."""
        chosen = set(self.chosen.audiences)
        rows = [
            {"audience": audience, "checked": audience.pk in chosen}
            for audience in Audience.objects.filter(workspace=self.context.workspace).order_by(
                "name"
            )
        ]
        return sorted(rows, key=lambda row: not row["checked"])


def _moment(raw: Any) -> Any:
    """Return the time, or None for what is none; the edges of the calendar have no time zones."""
    try:
        found = parse_datetime(str(raw)) if raw else None
    except ValueError:
        return None
    return found if found and MINYEAR < found.year < MAXYEAR else None
