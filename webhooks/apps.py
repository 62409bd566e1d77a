from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WebhooksConfig(AppConfig):
    name = "webhooks"
    verbose_name = _("Webhooks")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.db.models.signals import post_delete

        from webhooks import control, granting
        from workspaces.models import Membership

        control.register_notices()
        post_delete.connect(
            granting.end_of_member, sender=Membership, dispatch_uid="webhooks.end_of_member"
        )
