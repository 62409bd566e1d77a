from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from workspaces.models import Workspace


class IdentityConfig(AppConfig):
    name = "identity"
    verbose_name = _("Identity")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from identity import presets
        from workspaces.signals import workspace_created

        def install(workspace: "Workspace", **kwargs: object) -> None:
            presets.install(workspace)

        workspace_created.connect(install, weak=False, dispatch_uid="identity.presets")
