"""The audit trail's codes in words: what happened to what, and the names of changed fields."""

from typing import Any, Final

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

# What a code names before its dot, where that is not the name of a model.
_KINDS: Final = {
    "api_key": "apikey",
    "events": "event",
    "identifiers": "identifier",
    "member": "membership",
    "member_group": "membergroup",
    "tags": "tag",
}
ACTS: Final[dict[str, Promise]] = {
    "accepted": pgettext_lazy("act", "invitation accepted"),
    "active": pgettext_lazy("act", "resumed"),
    "added": pgettext_lazy("act", "added"),
    "administrator_changed": pgettext_lazy("act", "administrator changed"),
    "archived": pgettext_lazy("act", "archived"),
    "changed": pgettext_lazy("act", "changed"),
    "created": pgettext_lazy("act", "created"),
    "deactivated": pgettext_lazy("act", "deactivated"),
    "declined": pgettext_lazy("act", "invitation declined"),
    "deleted": pgettext_lazy("act", "deleted"),
    "disabled": pgettext_lazy("act", "disabled"),
    "duplicated": pgettext_lazy("act", "duplicated"),
    "exported": pgettext_lazy("act", "exported"),
    "given_up": pgettext_lazy("act", "waiting ended as too late"),
    "held": pgettext_lazy("act", "held back"),
    "imported": pgettext_lazy("act", "imported"),
    "invited": pgettext_lazy("act", "invited"),
    "key_changed": pgettext_lazy("act", "key changed"),
    "key_made": pgettext_lazy("act", "key made"),
    "key_stored": pgettext_lazy("act", "key stored"),
    "link_made": pgettext_lazy("act", "link to log in made"),
    "members_changed": pgettext_lazy("act", "members changed"),
    "operator_made": pgettext_lazy("act", "made an operator"),
    "paused": pgettext_lazy("act", "paused"),
    "points_changed": pgettext_lazy("act", "permissions changed"),
    "pruned": pgettext_lazy("act", "deleted for age"),
    "published": pgettext_lazy("act", "published"),
    "redelivery_ordered": pgettext_lazy("act", "sending again ordered"),
    "released": pgettext_lazy("act", "released"),
    "removed": pgettext_lazy("act", "removed"),
    "renamed": pgettext_lazy("act", "renamed"),
    "restored": pgettext_lazy("act", "earlier version restored"),
    "resumed": pgettext_lazy("act", "resumed"),
    "revoked": pgettext_lazy("act", "revoked"),
    "roles_changed": pgettext_lazy("act", "roles changed"),
    "rotated": pgettext_lazy("act", "encrypted anew"),
    "rules_changed": pgettext_lazy("act", "rules changed"),
    "sending_resumed": pgettext_lazy("act", "sending resumed"),
    "sending_stopped": pgettext_lazy("act", "sending stopped"),
    "stopped": pgettext_lazy("act", "stopped"),
    "suspended": pgettext_lazy("act", "suspended"),
    "taken_back": pgettext_lazy("act", "taken back"),
    "tested": pgettext_lazy("act", "test sent"),
    "unarchived": pgettext_lazy("act", "brought back"),
    "usage_changed": pgettext_lazy("act", "usage permission changed"),
    "usage_ended": pgettext_lazy("act", "usage permission ended"),
    "usage_granted": pgettext_lazy("act", "usage permission given"),
}
# Names in ``changes`` that are no field of the object.
_FIELDS: Final[dict[str, Promise]] = {
    "ends_at": gettext_lazy("end"),
    "expires_at": gettext_lazy("expires"),
    "fingerprint": gettext_lazy("fingerprint"),
    "for": gettext_lazy("for"),
    "key": gettext_lazy("key"),
    "kind": gettext_lazy("kind"),
    "names": gettext_lazy("names"),
    "number": gettext_lazy("number"),
    "points": gettext_lazy("permissions"),
    "reason": gettext_lazy("reason"),
    "roles": gettext_lazy("roles"),
    "scopes": gettext_lazy("may be used to"),
    "state": gettext_lazy("state"),
    "version": gettext_lazy("version"),
}


def act(action: str) -> str:
    """Return “Journey: published”; a code that this version does not know, as itself."""
    kind, _dot, what = action.partition(".")
    model = _models().get(_KINDS.get(kind, kind))
    if model is None or what not in ACTS:
        return action
    return _("%(kind)s: %(act)s") % {
        "kind": capfirst(str(model._meta.verbose_name)),
        "act": ACTS[what],
    }


def kind(object_type: str) -> str:
    """Return how a screen calls objects of a model; a dash for none."""
    try:
        return capfirst(str(apps.get_model(object_type)._meta.verbose_name))
    except (LookupError, ValueError):
        return object_type or "–"


def field(object_type: str, name: str) -> str:
    """Return how a screen names a changed field of an object."""
    try:
        found: Any = apps.get_model(object_type)._meta.get_field(name)
        return str(found.verbose_name)
    except (LookupError, ValueError, FieldDoesNotExist, AttributeError):
        return str(_FIELDS.get(name, name))


def _models() -> dict[str, type[Model]]:
    return {str(model._meta.model_name): model for model in apps.get_models()}
