"""The versions of a journey: who published what and when, and what differs from the one before."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from journeys import components, context, drafts, forms, listing
from journeys.definition import Document, Step
from journeys.drafts import StaleDraft, differences
from journeys.forms.panels import PanelForm
from journeys.models import Journey
from journeys.views.access import get_journey, may
from journeys.views.answers import go_to, refused
from workspaces.models import User
from workspaces.points import Point
from workspaces.sentences import joined, listed
from workspaces.typed import whole
from workspaces.views import WorkspaceRequest, workspace_view

SHOWN: Final = 50
# Parts of a config that stand in the panel under no field of their own.
_WITHOUT_FIELD: Final = {
    "variables": gettext_lazy("Variables"),
    "conditions": gettext_lazy("Conditions"),
}


@require_GET
@workspace_view()
def versions(request: WorkspaceRequest, pk: int) -> HttpResponse:
    journey = get_journey(request, pk)
    shown = {
        "journey": journey,
        "run": journey.runs.first(),
        "may_edit": may(request, Point.AUTOMATED_MARKETING),
        **_history(journey, request.user),
    }
    return render(request, "journeys/versions.html", shown)


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def restore(request: WorkspaceRequest, pk: int, number: int) -> HttpResponse:
    """Put a version into the draft and show it there, with Undo."""
    journey = get_journey(request, pk)
    version = get_object_or_404(journey.versions, number=number)
    revision = whole(request.POST.get("revision"))
    try:
        written = drafts.restore(
            journey=journey,
            revision=-1 if revision is None else revision,
            user=request.user,
            version=version,
            now=timezone.now(),
        )
    except StaleDraft as stale:
        return refused(stale.message, status=409)
    except PermissionDenied as denied:
        return refused(str(denied), status=403)
    except ValidationError as error:
        return refused(joined(error.messages), status=422)
    address = [request.workspace.slug, journey.pk]
    messages.success(
        request,
        _("Version %(number)d stands in the draft.") % {"number": number},
        extra_tags=reverse("journeys:undo", args=[*address, written.revision]),
    )
    return go_to(request, reverse("journeys:editor", args=address))


def _history(journey: Journey, user: User) -> dict[str, Any]:
    found = list(
        journey.versions.select_related("published_by").prefetch_related("runs")[: SHOWN + 1]
    )
    draft = Document.from_json(journey.draft)
    documents = [Document.from_json(version.document) for version in found]
    former = [*documents[1:], None][: len(documents)]
    reader = _Reader(journey, [draft, *documents], user)
    runs = [run.pk for version in found for run in version.runs.all()]
    accepted = listing.accepted(runs)
    rows = [
        {
            "version": version,
            "changes": compare(older, document, reader) if older else [],
            "is_draft": document == draft,
            "runs": [{"run": run, "accepted": accepted.get(run.pk)} for run in version.runs.all()],
        }
        for version, document, older in zip(found, documents, former, strict=True)
    ]
    return {
        "versions": rows[:SHOWN],
        "is_cut": len(rows) > SHOWN,
        "draft_changes": compare(documents[0], draft, reader) if documents else [],
    }


class _Reader:
    """Tells values as the panels call them: names of what was chosen, never keys."""

    def __init__(self, journey: Journey, documents: Sequence[Document], user: User) -> None:
        self._user, self._documents = user, documents
        self._context = context.load(
            workspace=journey.workspace, documents=documents, now=timezone.now()
        )
        self._forms: dict[tuple[UUID, str], PanelForm] = {}

    def text_of(self, step: Step, document: Document, place: str, value: Any) -> str:
        kind, _colon, _parameter = place.partition(":")
        if place == "name" or kind == "parameter":
            return str(value or "")
        if value is None or value == []:
            return ""
        text = self._form_of(step, document).text_of(place, value)
        return "" if text == "–" else text

    def label_of(self, step: Step, document: Document, place: str) -> str:
        """Return the name of a field as the panel shows it; a parameter's is its webhook's."""
        kind, colon, parameter = place.partition(":")
        if kind == "parameter" and colon:
            revision = getattr(self._form_of(step, document), "revision", None)
            asked = revision.parameters if revision else ()
            labels = {each["name"]: each["label"] for each in asked}
            return labels.get(parameter) or parameter
        if place in _WITHOUT_FIELD:
            return str(_WITHOUT_FIELD[place])
        return str(forms.of(step).base_fields[place].label)

    def _form_of(self, step: Step, document: Document) -> PanelForm:
        """Return the panel of a step: one is enough for all that it ever held."""
        key = (step.key, step.component)
        if key not in self._forms:
            of_document = context.of(self._context, document)
            self._forms[key] = forms.of(step)(step=step, context=of_document, user=self._user)
        return self._forms[key]


class Value(NamedTuple):
    """What one field held before and holds after, where both can be read."""

    field: str
    before: str
    after: str


class Change(NamedTuple):
    """One sentence a step, and the values behind it for whoever opens them."""

    sentence: str
    values: Sequence[Value] = ()


def compare(before: Document, after: Document, reader: _Reader) -> list[Change]:
    """Return what was changed from one document to another."""
    old = {step.key: step for step in before}
    new = {step.key: step for step in after}
    found = []
    for step in after:
        if step.key not in old:
            found.append(Change(_("“%(step)s” is new.") % {"step": _name(step)}))
        elif fields := _fields(old[step.key], step, after, reader):
            shown = {"step": _name(step), "fields": listed(fields)}
            sentence = _("“%(step)s” is changed: %(fields)s.") % shown
            found.append(Change(sentence, _values(old[step.key], step, after, reader)))
    found += [
        Change(_("“%(step)s” is gone.") % {"step": _name(step)})
        for step in before
        if step.key not in new
    ]
    kept_before = [step.key for step in before.steps if step.key in new]
    kept_after = [step.key for step in after.steps if step.key in old]
    if kept_before != kept_after:
        found.append(Change(_("The steps stand in another order.")))
    return found


def _values(before: Step, after: Step, document: Document, reader: _Reader) -> list[Value]:
    """Return what each field that differs held and holds, as it reads in the panel."""
    if before.component != after.component:
        return []
    found = []
    for place, (old, new) in differences(before, after.name, after.config).items():
        value = Value(
            reader.label_of(after, document, place),
            reader.text_of(after, document, place, old),
            reader.text_of(after, document, place, new),
        )
        if value.before != value.after:
            found.append(value)
    return found


def _name(step: Step) -> str:
    return step.name or str(components.of(step).label)


def _fields(before: Step, after: Step, document: Document, reader: _Reader) -> list[str]:
    """Return the names of the fields that differ, as they read within a sentence; each once."""
    if before.component != after.component:
        return [_("how people enter")]
    places = differences(before, after.name, after.config)
    labels = {place: reader.label_of(after, document, place) for place in places}
    return list(
        dict.fromkeys(
            label if place.startswith("parameter:") else _within_a_sentence(label)
            for place, label in labels.items()
        )
    )


def _within_a_sentence(label: str) -> str:
    """Return a field's label as it reads within a sentence; “ID type” stays as it is."""
    return label[:1].lower() + label[1:] if label[1:2].islower() else label
