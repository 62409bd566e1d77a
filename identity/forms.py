from typing import Any, Final

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from identity.models import Audience, DataSource

MAX_UPLOAD_BYTES: Final = 50 * 1024 * 1024
ENCODINGS: Final = (
    ("utf-8", "UTF-8"),
    ("gb18030", "GB18030, GBK, GB2312"),
    ("big5", "Big5"),
    ("cp1252", "Windows-1252"),
)


class AudienceFileForm(forms.Form):
    """An audience's list, uploaded."""

    file = forms.FileField(
        label=_("File"),
        help_text=_(
            "CSV whose one column is named by an ID type, such as MOBILE, or JSON Lines; gzip is "
            "fine. Larger files come in by the command import_audience."
        ),
    )
    source = forms.ModelChoiceField(DataSource.objects.none(), label=_("Data source"))
    encoding = forms.ChoiceField(label=_("Encoding"), choices=ENCODINGS)
    replace = forms.BooleanField(
        label=_("Replace the list"),
        required=False,
        help_text=_("Takes everybody out who is not in the file. Otherwise people are added."),
    )
    create_people = forms.BooleanField(
        label=_("Add unknown people"),
        required=False,
        help_text=_("Makes people of IDs that nobody has. Otherwise those lines are left out."),
    )

    def __init__(self, *args: Any, audience: Audience, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sources = DataSource.objects.filter(workspace=audience.workspace_id)
        source = self.fields["source"]
        assert isinstance(source, forms.ModelChoiceField)  # noqa: S101 - declared above
        source.queryset = sources
        source.initial = sources.first()

    def clean_file(self) -> UploadedFile[Any]:
        file: UploadedFile[Any] = self.cleaned_data["file"]
        if (file.size or 0) > MAX_UPLOAD_BYTES:
            raise forms.ValidationError(
                _("The file is larger than 50 MB. Import it by the command import_audience."),
                "too_large",
            )
        return file
