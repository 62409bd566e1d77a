"""Why one person got something from a journey, or did not."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from identity import people
from identity.models import IdType, Profile
from journeys.explain import Timeline, explain
from journeys.management.base import find_journey
from journeys.models import Journey
from workspaces import permissions
from workspaces.management.base import ConsoleCommand
from workspaces.models import User
from workspaces.permissions import Point


class Command(ConsoleCommand):
    help = (
        "Tell why one person got something from a journey, or did not: the verdict, then each fact "
        "in time. Example: manage.py explain 12 13800000000 --id-type MOBILE. With --as, people "
        "are masked as that member sees them."
    )

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("journey", type=int, metavar="JOURNEY", help="the journey's number")
        parser.add_argument(
            "value", metavar="ID", help="an ID of the person, of any type, or a QAID"
        )
        parser.add_argument("--id-type", metavar="CODE", help="of this ID type alone")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def run(
        self,
        *,
        actor: User | None,
        journey: int = 0,
        value: str = "",
        id_type: str | None = None,
        **options: Any,
    ) -> None:
        found = find_journey(journey, actor)
        in_clear = True
        if actor is not None:
            permissions.require(actor, found.workspace, Point.VIEW_DELIVERIES)
            in_clear = permissions.has_point(actor, found.workspace, Point.VIEW_PROFILES)
        person = _find_person(found, value, id_type)
        timeline = explain(journey=found, person=person, in_clear=in_clear, now=timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps(_plain(timeline), ensure_ascii=False, indent=2))
        else:
            self.stdout.write("\n".join(timeline.lines(zone=found.workspace.zone)))


def _find_person(journey: Journey, value: str, code: str | None) -> Profile:
    kind: IdType | None = None
    if code:
        kind = journey.workspace.id_types.filter(code=code).first()
        if kind is None:
            known = ", ".join(journey.workspace.id_types.values_list("code", flat=True))
            raise CommandError(f"There is no ID type {code}. There are: {known}.")
    found = people.find(journey.workspace, value=value, id_type=kind)
    if not found:
        raise CommandError(f"Nobody in {journey.workspace} has this ID.")
    if len(found) > 1:
        numbers = ", ".join(str(person.pk) for person in found)
        raise CommandError(f"{len(found)} people have this ID. Say which QAID: {numbers}.")
    return found[0]


def _plain(timeline: Timeline) -> dict[str, Any]:
    return {
        "verdict": timeline.verdict,
        "accepted": timeline.is_good,
        "facts": [
            {
                "kind": fact.kind,
                "at": fact.at.isoformat() if fact.at else None,
                "step": fact.step,
                "sentence": fact.sentence,
                "details": dict(fact.details),
            }
            for fact in timeline.facts
        ],
    }
