"""The start with a target audience: everybody who is in it at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from django.db import connection
from django.db.models import TextChoices
from django.utils import formats, timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from identity import audience_rules
from journeys.component import (
    Context,
    Entry,
    Needs,
    Opening,
    PeopleQuery,
    Problem,
    StartComponent,
    VariableSource,
)
from journeys.definition import Step
from webhooks.rendering import Source

MAX_AUDIENCES: Final = 20


class When(TextChoices):
    NOW = "now", gettext_lazy("Now")
    AT = "at", gettext_lazy("At a time")


@dataclass(frozen=True, slots=True)
class AudienceConfig:
    audiences: tuple[int, ...] = ()
    when: When = When.NOW
    at: datetime | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        when = data.get("when")
        return cls(
            audiences=tuple(dict.fromkeys(int(each) for each in data.get("audiences") or ())),
            when=When(when) if when in When.values else When.NOW,
            at=parse_datetime(data["at"]) if data.get("at") else None,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "audiences": list(self.audiences),
            "when": self.when.value,
            "at": self.at.isoformat() if self.at else None,
        }


class AudienceStart(StartComponent):
    """Everybody in up to 20 audiences, each person once; now, or once at a time."""

    code = "audience"
    label = gettext_lazy("Target audience")
    icon = "users"

    def new_config(self) -> dict[str, Any]:
        return AudienceConfig().to_json()

    def needs(self, config: Mapping[str, Any]) -> Needs:
        return Needs(audiences=frozenset(AudienceConfig.from_json(config).audiences))

    def problems(self, step: Step, context: Context) -> list[Problem]:
        config = AudienceConfig.from_json(step.config)
        found = []
        if not config.audiences:
            found.append(Problem("audiences", _("Choose at least one audience."), "required"))
        if len(config.audiences) > MAX_AUDIENCES:
            found.append(
                Problem("audiences", _("Choose at most 20 audiences."), "too_many_audiences")
            )
        if any(pk not in context.audiences for pk in config.audiences):
            found.append(
                Problem(
                    "audiences",
                    _("A chosen audience no longer exists. Choose another one."),
                    "audience_gone",
                )
            )
        if config.when == When.AT and config.at is None:
            found.append(Problem("at", _("Enter the time to start at."), "required"))
        elif config.when == When.AT and config.at and config.at <= context.now:
            found.append(
                Problem("at", _("The start time has passed. Enter a later one."), "start_passed")
            )
        return found

    def summary(self, step: Step, context: Context) -> str:
        config = AudienceConfig.from_json(step.config)
        names = [context.audiences[pk].name for pk in config.audiences if pk in context.audiences]
        if not names:
            return ""
        more = len(names) - 1
        who = names[0]
        if more:
            who = ngettext("%(name)s and %(more)d more", "%(name)s and %(more)d more", more) % {
                "name": names[0],
                "more": more,
            }
        if config.when == When.AT and config.at:
            at = timezone.localtime(config.at, context.workspace.zone)
            return f"{who} · {formats.date_format(at, 'DATETIME_FORMAT')}"
        return f"{who} · {When.NOW.label}"

    def sources(self, step: Step, context: Context) -> list[VariableSource]:
        return tag_sources(context)

    def people(self, step: Step, context: Context) -> PeopleQuery | None:
        config = AudienceConfig.from_json(step.config)
        audiences = [context.audiences[pk] for pk in config.audiences if pk in context.audiences]
        if not audiences:
            return None
        parts = [audience_rules.people_sql(audience=audience) for audience in audiences]
        if len(parts) == 1:
            return PeopleQuery(parts[0][0], list(parts[0][1]))
        # UNION, not UNION ALL: who is in two audiences is one person.
        sql = " UNION ".join(f"SELECT qaid FROM ({sql}) AS one (qaid)" for sql, _params in parts)
        return PeopleQuery(sql, [param for _sql, params in parts for param in params])

    def entries(self, step: Step, context: Context) -> PeopleQuery | None:
        people = self.people(step, context)
        if people is None:
            return None
        return PeopleQuery(
            f"SELECT qaid, NULL::jsonb FROM ({people.sql}) AS one (qaid)", people.params
        )

    def samples(self, step: Step, context: Context, *, size: int) -> list[Entry]:
        people = self.people(step, context)
        if people is None:
            return []
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT qaid FROM ({people.sql}) AS one (qaid) ORDER BY qaid LIMIT %s",
                [*people.params, size],
            )
            return [Entry(qaid) for (qaid,) in cursor.fetchall()]

    def opening(self, step: Step, context: Context) -> Opening:
        config = AudienceConfig.from_json(step.config)
        at = config.at if config.when == When.AT and config.at else context.now
        return Opening(is_event=False, starts_at=at)


def tag_sources(context: Context) -> list[VariableSource]:
    """Return every tag of the workspace as a source of variables."""
    return [
        VariableSource(Source.TAG, tag.code, tag.name, tag.type, tag.sensitive)
        for tag in context.tags.values()
    ]
