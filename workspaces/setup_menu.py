"""The pages of the set-up in the order of an administrator's work, not of the code.

Upper apps are known by name only. A page that no group names is the operator's.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from workspaces.sentences import spaced

OPERATOR_KEY: Final = "operator"


class Page(NamedTuple):
    """One list of the set-up."""

    name: str
    about: str | Promise
    url: str
    add_url: str
    add_label: str
    current: bool


class Group(NamedTuple):
    key: str
    name: str | Promise
    pages: list[Page]


_GROUPS: Final[tuple[tuple[str, Promise, Mapping[str, Promise]], ...]] = (
    (
        "systems",
        _("Connected systems"),
        {
            "webhooks.webhook": _("Where journeys send to, what they send, and who may use it."),
            "webhooks.choicelist": _("Values that a parameter offers instead of free text."),
            "workspaces.apikey": _("What other systems log in with to send events."),
        },
    ),
    (
        "people",
        _("People and events"),
        {
            "identity.datasource": _("Where people’s data comes from, the most trusted first."),
            "identity.idtype": _("What people are known by: mobile number, e-mail, member number."),
            "identity.tag": _("What is known of people and may fill a message."),
            "identity.profile": _("Everybody who is known, found by any ID."),
            "identity.audience": _("Lists and rules that journeys start with."),
            "identity.eventtype": _("What people do that journeys can wait for."),
        },
    ),
    (
        "access",
        _("Who may do what"),
        {
            "workspaces.membership": _("Who works in this workspace, and in which role."),
            "workspaces.role": _("Permissions, given together."),
            "workspaces.membergroup": _("Workspace members who get usage permissions together."),
            "workspaces.workspace": _("Name, time zone, language and limits."),
            "workspaces.organization": _("Companies, each with its workspaces."),
        },
    ),
    (
        "records",
        _("What happened"),
        {
            "webhooks.delivery": _("What was sent to whom, and what was answered."),
            "webhooks.message": _("Requests that wait for their turn or for an answer."),
            "webhooks.attempt": _("Every repeated attempt, and what came of it."),
            "webhooks.receipt": _("What other systems reported afterwards."),
            "webhooks.redelivery": _("What was ordered to go out once more, and how far it is."),
            "identity.mappingconflict": _("IDs that two people claim."),
            "workspaces.auditentry": _("Who changed what, and when."),
        },
    ),
    (
        OPERATOR_KEY,
        _("Installation"),
        {
            "workspaces.user": _("Everybody who can log in, in whatever workspace."),
            "account.emailaddress": _("The addresses people log in with, confirmed or not yet."),
            "mfa.authenticator": _("The second steps that people added to their log-in."),
        },
    ),
)


def groups(apps: Iterable[Mapping[str, Any]], *, path: str) -> list[Group]:
    """Sort what Django's app list offers the visitor into groups; empty ones are left out.

    Args:
        apps: ``AdminSite.get_app_list``, which holds only what the visitor may open.
        path: the page being shown.
    """
    offered = {
        model["model"]._meta.label_lower: model
        for app in apps
        for model in app["models"]
        if model["admin_url"]
    }
    made = []
    for key, name, labels in _GROUPS:
        pages = [
            _page(offered.pop(label), about, path)
            for label, about in labels.items()
            if label in offered
        ]
        made.append(Group(key, name, pages))
    made[-1].pages.extend(_page(model, "", path) for model in offered.values())
    return [group for group in made if group.pages]


def current(groups: Iterable[Group]) -> Page | None:
    return next((page for group in groups for page in group.pages if page.current), None)


def _page(model: Mapping[str, Any], about: str | Promise, path: str) -> Page:
    url: str = model["admin_url"]
    return Page(
        name=str(model["name"]),
        about=about,
        url=url,
        add_url=model["add_url"] or "",
        add_label=spaced(_("Add %(name)s") % {"name": model["model"]._meta.verbose_name}),
        current=path.startswith(url),
    )
