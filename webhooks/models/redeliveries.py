from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext_lazy as _


class Redelivery(models.Model):
    """A person's order to send dead deliveries again: a durable job with its own checkpoint."""

    workspace = models.ForeignKey(
        "workspaces.Workspace", on_delete=models.CASCADE, related_name="+"
    )
    ordered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        verbose_name=_("ordered by"),
    )
    ordered_at = models.DateTimeField(_("ordered at"))
    selection = models.JSONField()
    total = models.PositiveIntegerField(_("people in all"), default=0)
    done = models.PositiveIntegerField(_("people done"), default=0)
    checkpoint = models.CharField(max_length=80, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    failure = models.CharField(_("failure"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("order to send again")
        verbose_name_plural = _("orders to send again")

    def __str__(self) -> str:
        at = date_format(timezone.localtime(self.ordered_at), "DATETIME_FORMAT")
        done, total = (number_format(each, force_grouping=True) for each in (self.done, self.total))
        return f"{at} · {done} / {total}"
