"""The message format preview: the form as it is typed, drawn as the request it would send."""

from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render

from identity.models import IdType
from webhooks import previews
from webhooks.choices import Authentication, ParameterType
from webhooks.forms.fields import PairsField
from webhooks.models import ChoiceList, Parameter, Webhook
from webhooks.previews import MASK
from webhooks.registering import PARAMETERS
from webhooks.rendering import clean_name
from workspaces import current
from workspaces.admin.base import ScopedModelAdmin
from workspaces.models import Workspace
from workspaces.typed import whole

PREFIX = "parameters"


def preview(model_admin: ScopedModelAdmin, request: HttpRequest) -> HttpResponse:
    """Return the fragment with the exact request; a form half filled gives what there is so far."""
    pk = request.POST.get("_webhook", "")
    stored: Webhook | None = model_admin.get_object(request, pk) if pk else None
    if not (
        model_admin.has_change_permission(request, stored)
        if stored
        else model_admin.has_add_permission(request)
    ):
        raise PermissionDenied
    workspace = stored.workspace if stored else current.workspace(request)
    if workspace is None:
        raise PermissionDenied
    drawn = previews.draw(
        _webhook_typed(request.POST),
        parameters=parameters_typed(request.POST, workspace),
        id_type_codes=_codes(request.POST, workspace),
        workspace_name=workspace.name,
    )
    return render(request, "admin/webhooks/_preview.html", {"preview": drawn})


def stored_preview(webhook: Webhook) -> previews.Preview:
    """Return the preview of a webhook as it is stored, for the page's first showing."""
    parameters = webhook.parameters.select_related("choice_list").prefetch_related(
        "choice_list__choices"
    )
    return previews.draw(
        webhook,
        parameters=[parameter.frozen() for parameter in parameters],
        id_type_codes=list(webhook.id_types.order_by("priority").values_list("code", flat=True)),
        workspace_name=webhook.workspace.name,
    )


def parameters_typed(data: QueryDict, workspace: Workspace) -> list[dict[str, Any]]:
    """Return the parameters of an unsaved form as a revision would freeze them, in their order."""
    count = min(whole(data.get(f"{PREFIX}-TOTAL_FORMS")) or 0, 4 * PARAMETERS)
    lists = ChoiceList.objects.filter(workspace=workspace).prefetch_related("choices")
    by_pk = {str(each.pk): each for each in lists}
    found: list[tuple[int, dict[str, Any]]] = []
    seen: set[str] = set()
    for number in range(count):
        typed = {
            field: data.get(f"{PREFIX}-{number}-{field}", "")
            for field in (*_TEXTS, "type", "choice_list", "is_constant", "DELETE", "order")
        }
        name = clean_name(typed["name"])
        if not name or name in seen or typed["DELETE"] or typed["type"] not in ParameterType:
            continue
        seen.add(name)
        parameter = Parameter(
            **{field: typed[field] for field in _TEXTS if field != "name"},
            name=name,
            type=typed["type"],
            is_constant=bool(typed["is_constant"]),
        )
        if chosen := by_pk.get(typed["choice_list"]):
            parameter.choice_list = chosen
        order = whole(typed["order"])
        found.append((number if order is None else order, parameter.frozen()))
    return [frozen for _order, frozen in sorted(found, key=lambda pair: pair[0])]


_TEXTS = ("name", "display_name", "constant_value", "example", "date_format")


def _webhook_typed(data: QueryDict) -> Webhook:
    """Return an unsaved webhook of what is typed; what cannot be read is left out."""
    pairs = PairsField(form="Name: value", required=False)
    try:
        own = pairs.clean(data.get("headers", ""))
    except ValidationError:
        own = {}
    return Webhook(
        url=data.get("url", "").strip() or "https://…/",
        authentication=data.get("authentication", Authentication.KEY),
        carry_environment=bool(data.get("carry_environment")),
        headers={name: "kept" if value == MASK else value for name, value in own.items()},
        content_template=data.get("content_template", ""),
        batch_size=whole(data.get("batch_size")) or 1,
    )


def _codes(data: QueryDict, workspace: Workspace) -> list[str]:
    chosen = [pk for pk in map(whole, data.getlist("id_types")) if pk]
    found = IdType.objects.filter(workspace=workspace, pk__in=chosen).order_by("priority")
    return list(found.values_list("code", flat=True))
