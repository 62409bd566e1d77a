"""The demo's log-ins, which end when a real organization begins."""

from typing import Final

from django.db import transaction
from django.db.models import QuerySet

from workspaces import audit
from workspaces.models import User

# Nobody receives mail there: the name is reserved for examples.
DOMAIN: Final = "demo.example"


def all_of_them() -> QuerySet[User]:
    return User.objects.filter(email__endswith=f"@{DOMAIN}")


@transaction.atomic
def close(*, actor: User | None) -> list[str]:
    """Let none of them log in any more, now or after a reset; return whose log-ins these were."""
    closed = []
    for user in all_of_them().filter(is_active=True).select_for_update().order_by("email"):
        user.is_active = False
        user.set_unusable_password()
        user.save(update_fields=["is_active", "password"])
        audit.record(
            actor=actor,
            workspace=None,
            action="user.deactivated",
            obj=user,
            changes={"is_active": [True, False]},
        )
        closed.append(user.email)
    return closed


def sentence(closed: list[str]) -> str:
    return (
        f"The demo was loaded into this database: its log-ins {', '.join(closed)} are deactivated, "
        "because others may know their password."
    )
