from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from identity.choices import TagType


class Tag(models.Model):
    """One labelled fact about people. The values are in ``Profile.tags``, by this code."""

    workspace = models.ForeignKey(
        "workspaces.Workspace", on_delete=models.CASCADE, related_name="tags"
    )
    # Small letters, so that in a file no tag can be taken for an ID type.
    code = models.CharField(
        _("code"),
        max_length=64,
        validators=[
            RegexValidator(
                r"^[a-z][a-z0-9_]*\Z",
                _("A code starts with a small letter and has only small letters, digits and “_”."),
                "invalid_code",
            )
        ],
        help_text=_("The name of the column in files. Cannot change."),
    )
    name = models.CharField(_("name"), max_length=100)
    data_source = models.ForeignKey(
        "identity.DataSource",
        on_delete=models.PROTECT,
        related_name="tags",
        verbose_name=_("data source"),
        help_text=_("The only one that may write this tag."),
    )
    type = models.CharField(_("type"), max_length=10, choices=TagType, default=TagType.TEXT)
    sensitive = models.BooleanField(
        _("sensitive"), default=False, help_text=_("Shown only to members who may see people.")
    )

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        ordering = ["workspace", "code"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "code"],
                name="identity_tag_code_unique",
                violation_error_message=_("Another tag has this code."),
            ),
            models.CheckConstraint(
                condition=~models.Q(code__in=["time", "seen_at"]),
                name="identity_tag_code_not_reserved",
                violation_error_message=_(
                    "“time” and “seen_at” are columns of their own in files."
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.name
