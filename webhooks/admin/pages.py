"""What a webhook's page holds beside the form, and the addresses under it."""

from collections.abc import Callable
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from webhooks import (
    control,
    granting,
    guides,
    keys,
    monitoring,
    registering,
    revisions,
    test_sends,
)
from webhooks.admin import previews
from webhooks.admin.columns import reason_of
from webhooks.choices import SecretKind, WebhookState
from webhooks.forms.grants import GrantForm
from webhooks.forms.test_sends import TestSendForm
from webhooks.forms.webhooks import SecretForm
from webhooks.granting import Status
from webhooks.models import GroupGrant, MemberGrant, Webhook, WebhookSecret
from webhooks.secrets import SecretError
from webhooks.test_requests import unreadable_key
from webhooks.test_sends import InvalidOrderError, NotSentError
from workspaces import current, permissions
from workspaces.admin.base import ScopedModelAdmin, actor_of
from workspaces.points import Point
from workspaces.sentences import listed

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

SHOWN_ONCE: Final = "webhook_keys_shown_once"
TESTS_SHOWN: Final = 5
STATUS_TONES: Final = {
    Status.CAN_USE: "green",
    Status.LACKS_ROLE: "amber",
    Status.LACKS_USAGE: "amber",
    Status.LACKS_BOTH: "open",
    Status.ENDED: "amber",
}

View = Callable[..., HttpResponse]


def urls(model_admin: "ModelAdmin[Any]") -> list[URLPattern]:
    """Return the addresses under the webhooks' own, each guarded by the admin site."""

    def address(route: str, name: str, view: View, *verbs: str) -> URLPattern:
        bound = require_http_methods(list(verbs))(update_wrapper(partial(view, model_admin), view))
        wrapped = model_admin.admin_site.admin_view(bound)
        return path(route, wrapped, name=f"webhooks_webhook_{name}")

    return [
        address("preview/", "preview", previews.preview, "POST"),
        address("<int:pk>/key/<int:secret_pk>/", "key", key_page, "GET", "POST"),
        address("<int:pk>/key/new/", "key_new", key_new, "POST"),
        address("<int:pk>/test/", "test", test_page, "GET", "POST"),
        address("<int:pk>/test/cancel/", "test_cancel", test_cancel, "POST"),
        address("<int:pk>/grant/", "grant", grant, "POST"),
        address("<int:pk>/grant/<str:kind>/<int:grant_pk>/end/", "grant_end", grant_end, "POST"),
        address("<int:pk>/state/", "state", state, "POST"),
        address("<int:pk>/duplicate/", "duplicate", duplicate, "POST"),
        address("<int:pk>/guide/", "guide", guide, "GET"),
        address("<int:pk>/guide.md", "guide_markdown", guide_markdown, "GET"),
    ]


def around(
    model_admin: ScopedModelAdmin,
    request: HttpRequest,
    webhook: Webhook | None,
) -> dict[str, Any]:
    """Return what the webhook's page shows beside its form."""
    if webhook is None:
        return {"preview_url": reverse("admin:webhooks_webhook_preview")}
    now = timezone.now()
    administers = permissions.administers(request.user, webhook.workspace)
    uses = list(webhook.uses.order_by("-is_live", "journey_name"))
    tests = test_sends.last_of_webhook(webhook, TESTS_SHOWN)
    standings = granting.standings(webhook, now=now)
    grant_form = getattr(request, "webhook_grant_form", None)
    if grant_form is None and administers:
        grant_form = GrantForm(workspace=webhook.workspace)
    return {
        "preview_url": reverse("admin:webhooks_webhook_preview"),
        "preview": previews.stored_preview(webhook),
        "webhook": webhook,
        "state_reason": reason_of(webhook),
        "condition": next(iter(monitoring.conditions([webhook.pk])), None),
        # Not "errors": those are the form's.
        "last_errors": monitoring.errors(webhook.pk),
        "now": now,
        "uses": uses,
        "waiting": sum(revisions.people_waiting(webhook).values()) if uses else 0,
        "tests": tests,
        "secrets": webhook.secrets.select_related("created_by").order_by("kind", "-created_at"),
        "secret_form": SecretForm(),
        "standings": [(each, STATUS_TONES[each.status]) for each in standings],
        "can_use": sum(each.status == Status.CAN_USE for each in standings),
        "grants": [
            (each, granting.holder_of(each), each.ends_at is None or each.ends_at > now)
            for each in granting.grants_of(webhook)
        ],
        "administers": administers,
        "may_see_members": permissions.has_point(
            request.user, webhook.workspace, Point.MANAGE_MEMBERS
        ),
        "grant_form": grant_form if administers else None,
        "deletion_problem": registering.deletion_problem(webhook),
        "open_test": "test" in request.GET,
    }


def show_once(request: HttpRequest, *secrets: WebhookSecret) -> None:
    """Let this session see the keys' pages until somebody says “I have stored it”."""
    shown = request.session.get(SHOWN_ONCE, [])
    request.session[SHOWN_ONCE] = [*shown, *(secret.pk for secret in secrets)]


# --- Keys -----------------------------------------------------------------------------------------


def key_page(
    model_admin: ScopedModelAdmin, request: HttpRequest, pk: int, secret_pk: int
) -> HttpResponse:
    """A new key, shown to the session that made it until it is stored; then never again."""
    webhook = _webhook(model_admin, request, pk)
    shown: list[int] = request.session.get(SHOWN_ONCE, [])
    secret = webhook.secrets.filter(pk=secret_pk, stored_at=None).first()
    if secret is None or secret.pk not in shown:
        raise Http404
    if request.method == "POST":
        keys.confirm_stored(secret=secret, actor=actor_of(request), now=timezone.now())
        left = [each for each in shown if each != secret.pk]
        request.session[SHOWN_ONCE] = left
        query = "?test=1" if "test" in request.GET else ""
        following = webhook.secrets.filter(pk__in=left, stored_at=None).order_by("pk").first()
        if following:
            url = reverse("admin:webhooks_webhook_key", args=[webhook.pk, following.pk])
            return HttpResponseRedirect(url + query)
        return HttpResponseRedirect(_page_url(webhook) + query)
    context = {"secret": secret, "key": keys.reveal(secret), "title": _("New key")}
    response = _page(model_admin, request, webhook, "admin/webhooks/key.html", context)
    response["Cache-Control"] = "no-store"
    return response


def key_new(model_admin: ScopedModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Make a key of the kind asked for; an older signing key goes on for 24 hours."""
    webhook = _webhook(model_admin, request, pk)
    kind = request.POST.get("kind", "")
    form = SecretForm(request.POST)
    if kind not in SecretKind.values or not form.is_valid():
        raise Http404
    try:
        secret, _clear = keys.make(
            webhook=webhook,
            kind=SecretKind(kind),
            actor=actor_of(request),
            now=timezone.now(),
            given=form.cleaned_data["given"] if kind == SecretKind.AES else "",
        )
    except ValidationError as error:
        model_admin.message_user(request, error.messages[0], "ERROR")
        return HttpResponseRedirect(_page_url(webhook))
    if form.cleaned_data["given"] and kind == SecretKind.AES:
        model_admin.message_user(request, _("The AES key is stored. It is not shown again."))
        return HttpResponseRedirect(_page_url(webhook))
    show_once(request, secret)
    return HttpResponseRedirect(reverse("admin:webhooks_webhook_key", args=[pk, secret.pk]))


# --- Tests ----------------------------------------------------------------------------------------


def test_page(model_admin: ScopedModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """The test send: a page, or the inside of the dialog for the script that asks for it."""
    webhook = _webhook(model_admin, request, pk)
    revision = revisions.latest(webhook)
    if revision is None:
        raise Http404
    data = request.POST if request.method == "POST" else None
    form = TestSendForm(data, webhook=webhook, revision=revision)
    context: dict[str, Any] = {"form": form, "title": _("Test send"), "revision": revision}
    status = 200
    if form.is_bound:
        status = 422
        if form.is_valid():
            status = _send_test(request, form, context)
    return _page(model_admin, request, webhook, "admin/webhooks/test.html", context, status=status)


def _send_test(request: HttpRequest, form: TestSendForm, context: dict[str, Any]) -> int:
    """Send, and put the verdict or what is wrong into the context; return the HTTP status."""
    try:
        context["verdict"] = test_sends.send(
            form.order(),
            actor=actor_of(request),
            token=form.cleaned_data["token"],
            now=timezone.now(),
        )
        form.renew()
    except InvalidOrderError as error:
        form.refuse(error.errors)
        return 422
    except NotSentError as error:
        context["not_sent"] = str(error)
        return 429
    return 200


def test_cancel(model_admin: ScopedModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    _webhook(model_admin, request, pk)
    test_sends.cancel(actor=actor_of(request), token=request.POST.get("token", ""))
    return HttpResponse(status=204)


# --- Usage permissions ----------------------------------------------------------------------------


def grant(model_admin: ScopedModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    webhook = _administered(model_admin, request, pk)
    with current.locale(request, webhook.workspace):
        form = GrantForm(request.POST, workspace=webhook.workspace)
        if form.is_valid():
            try:
                told = granting.grant(
                    webhook=webhook,
                    grantees=form.grantees,
                    actor=actor_of(request),
                    reason=form.cleaned_data["reason"],
                    ends_at=form.cleaned_data["ends_at"],
                    mend=form.mending_role,
                    now=timezone.now(),
                )
            except ValidationError as error:
                form.add_error(None, error)
            else:
                _tell_granted(model_admin, request, told)
                return HttpResponseRedirect(f"{_page_url(webhook)}#who")
    # The webhook's page once more, with what was typed and the sentences beside it.
    request.method = "GET"
    request.webhook_grant_form = form  # type: ignore[attr-defined] # read by ``around``
    response = model_admin.change_view(request, str(pk))
    response.status_code = 422
    return response


def _tell_granted(
    model_admin: ScopedModelAdmin, request: HttpRequest, told: granting.Granted
) -> None:
    count = len(told.new) + len(told.renewed)
    model_admin.message_user(
        request,
        ngettext(
            "%(count)d usage permission is given: %(names)s.",
            "%(count)d usage permissions are given: %(names)s.",
            count,
        )
        % {"count": count, "names": listed([*told.new, *told.renewed])},
    )
    if told.mended:
        message = _("The role permission was added for: %(names)s.")
        model_admin.message_user(request, message % {"names": listed(told.mended)})
    if told.lacking:
        message = _("They still lack the role permission: %(names)s.")
        model_admin.message_user(request, message % {"names": listed(told.lacking)}, "WARNING")


def grant_end(
    model_admin: ScopedModelAdmin, request: HttpRequest, pk: int, kind: str, grant_pk: int
) -> HttpResponse:
    webhook = _administered(model_admin, request, pk)
    manager = {"member": MemberGrant.objects, "group": GroupGrant.objects}.get(kind)
    if manager is None:
        raise Http404
    found: Any = manager.filter(content_object=webhook, pk=grant_pk).first()
    if found is None:
        raise Http404
    if granting.end(grant=found, actor=actor_of(request), now=timezone.now()):
        message = _("The usage permission of %(name)s ended now.")
        model_admin.message_user(request, message % {"name": granting.holder_of(found)})
    return HttpResponseRedirect(f"{_page_url(webhook)}#who")


# --- State, copies, guide -------------------------------------------------------------------------


def state(model_admin: ScopedModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    webhook = _webhook(model_admin, request, pk)
    change = {
        WebhookState.ACTIVE.value: control.resume,
        WebhookState.PAUSED.value: control.pause,
        WebhookState.DISABLED.value: control.disable,
    }.get(request.POST.get("state", ""))
    if change is None:
        raise Http404
    change(webhook=webhook, actor=actor_of(request), now=timezone.now())
    return HttpResponseRedirect(_page_url(webhook))


def duplicate(model_admin: ScopedModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    webhook = _webhook(model_admin, request, pk)
    try:
        copy, made = registering.duplicate(
            webhook=webhook, actor=actor_of(request), now=timezone.now()
        )
    except SecretError:
        model_admin.message_user(request, unreadable_key(), "ERROR")
        return HttpResponseRedirect(_page_url(webhook))
    model_admin.message_user(
        request, _("The copy is disabled. Set what differs, test it, then enable it.")
    )
    if made is None:
        return HttpResponseRedirect(_page_url(copy))
    show_once(request, made[0])
    return HttpResponseRedirect(reverse("admin:webhooks_webhook_key", args=[copy.pk, made[0].pk]))


def guide(model_admin: ScopedModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    webhook = _webhook(model_admin, request, pk)
    sections = guides.sections(webhook, receipts_url=_receipts_url(request, webhook))
    context = {"sections": sections, "title": _("Integration guide")}
    return _page(model_admin, request, webhook, "admin/webhooks/guide.html", context)


def guide_markdown(model_admin: ScopedModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    webhook = _webhook(model_admin, request, pk)
    text = guides.markdown(webhook, receipts_url=_receipts_url(request, webhook))
    response = HttpResponse(text, content_type="text/markdown; charset=utf-8")
    name = slugify(webhook.name, allow_unicode=False) or f"webhook-{webhook.pk}"
    response["Content-Disposition"] = f'attachment; filename="{name}.md"'
    return response


def _receipts_url(request: HttpRequest, webhook: Webhook) -> str:
    return request.build_absolute_uri(f"/api/v1/webhooks/{webhook.public_id}/receipts/")


# --- Shared ---------------------------------------------------------------------------------------


def _webhook(model_admin: ScopedModelAdmin, request: HttpRequest, pk: int) -> Webhook:
    """Return the webhook; 404 for another tenant's, 403 without the point."""
    webhook: Webhook = model_admin.get_object(request, str(pk))
    if not model_admin.has_change_permission(request, webhook):
        raise PermissionDenied
    return webhook


def _administered(model_admin: ScopedModelAdmin, request: HttpRequest, pk: int) -> Webhook:
    webhook = _webhook(model_admin, request, pk)
    granting.require_administrator(actor_of(request), webhook.workspace)
    return webhook


def _page_url(webhook: Webhook) -> str:
    return reverse("admin:webhooks_webhook_change", args=[webhook.pk])


def _page(
    model_admin: ScopedModelAdmin,
    request: HttpRequest,
    webhook: Webhook,
    template: str,
    context: dict[str, Any],
    *,
    status: int = 200,
) -> HttpResponse:
    """Return a page of the admin, or for a script's request the fragment of the same name."""
    is_fragment = request.headers.get("x-fragment") == "1"
    folder, _slash, name = template.rpartition("/")
    chosen = f"{folder}/_{name}" if is_fragment else template
    shared = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "webhook": webhook,
        **context,
    }
    with current.locale(request, webhook.workspace):
        return TemplateResponse(request, chosen, shared, status=status).render()
