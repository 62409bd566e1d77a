"""The permission points: each one a django-guardian object permission on a workspace."""

from enum import StrEnum
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Point(StrEnum):
    """One right in a workspace, by its permission's codename."""

    REACH_MARKETING_WEBHOOK = "reach_marketing_webhook"
    AUTOMATED_MARKETING = "automated_marketing"
    PUBLISH_JOURNEYS = "publish_journeys"
    VIEW_DELIVERIES = "view_deliveries"
    REDELIVER = "redeliver"
    VIEW_PROFILES = "view_profiles"
    MANAGE_DATA = "manage_data"
    WEBHOOK_MANAGEMENT = "webhook_management"
    MANAGE_MEMBERS = "manage_members"


# Points are shown by the menu path they open.
POINT_LABELS: Final[dict[Point, Promise]] = {
    Point.REACH_MARKETING_WEBHOOK: _("User Marketing-Reach Marketing-Webhook"),
    Point.AUTOMATED_MARKETING: _("User Marketing-Automated Marketing"),
    Point.PUBLISH_JOURNEYS: _("User Marketing-Automated Marketing-Publish"),
    Point.VIEW_DELIVERIES: _("User Marketing-Deliveries"),
    Point.REDELIVER: _("User Marketing-Deliveries-Send Again"),
    Point.VIEW_PROFILES: _("User Insight-People in Clear"),
    Point.MANAGE_DATA: _("Data Management-Identity and Data"),
    Point.WEBHOOK_MANAGEMENT: _(
        "Configuration Management-Marketing Configuration-Webhook Management"
    ),
    Point.MANAGE_MEMBERS: _("Configuration Management-Workspace Members"),
}

# Who holds one of these may enter the set-up (Django admin); what is there follows from the point.
SETUP_POINTS: Final = frozenset({Point.WEBHOOK_MANAGEMENT, Point.MANAGE_DATA, Point.MANAGE_MEMBERS})
