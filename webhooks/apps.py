from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WebhooksConfig(AppConfig):
    name = "webhooks"
    verbose_name = _("Webhooks")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.db.models.signals import post_delete

        from webhooks import control, granting, usage_ends
        from workspaces.models import MemberGroup, Membership, Role

        control.register_notices()
        usage_ends.register_notices()
        for holder in (Membership, Role, MemberGroup):
            post_delete.connect(
                granting.end_of_holder,
                sender=holder,
                dispatch_uid=f"webhooks.end_of_{holder._meta.model_name}",
            )
