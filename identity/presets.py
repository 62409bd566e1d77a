"""What every workspace starts with: the original's ID types and one data source."""

from typing import Final, NamedTuple

from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from identity.choices import IdKind
from identity.models import DataSource, IdType
from workspaces.models import Workspace


class Preset(NamedTuple):
    code: str
    name: object
    kind: IdKind
    multi_value: bool = True
    enabled: bool = True
    in_mapping: bool = False
    sensitive: bool = True


# In the order of their priority. Which of the later ones are enabled, single or in ID Mapping
# cannot be read from the original's documents any more; those are our choice.
ID_TYPES: Final = (
    Preset("ONEID", _("Member ID"), IdKind.TEXT, False, True, True, sensitive=False),
    Preset("MAISCRM_ID", _("Social CRM ID"), IdKind.TEXT, enabled=False),
    Preset("MOBILE", _("Mobile number"), IdKind.MOBILE, in_mapping=True),
    Preset("TAOBAO_ID", _("Taobao ID"), IdKind.TEXT),
    Preset("ALIPAY_ID", _("Alipay ID"), IdKind.TEXT),
    Preset("UMENG_ID", _("Umeng ID"), IdKind.TEXT),
    Preset("UNION_ID", _("WeChat union ID"), IdKind.TEXT, in_mapping=True),
    Preset("OPEN_ID", _("WeChat open ID"), IdKind.TEXT),
    Preset("EMAIL", _("E-mail address"), IdKind.EMAIL, in_mapping=True),
    Preset("WEIBO_ID_ORG", _("Weibo ID"), IdKind.TEXT),
    Preset("IDFA", _("Apple advertising ID"), IdKind.DEVICE),
    Preset("OAID", _("Android advertising ID"), IdKind.DEVICE),
    Preset("IMEI", _("IMEI"), IdKind.DEVICE),
    Preset("IMSI", _("IMSI"), IdKind.DEVICE),
    Preset("MAC_ORG", _("MAC address"), IdKind.DEVICE),
    Preset("TAOBAO_NICK", _("Taobao nickname"), IdKind.TEXT),
    Preset("OUID", _("Internal ID"), IdKind.TEXT),
)
DEFAULT_SOURCE: Final = "files"


def install(workspace: Workspace) -> None:
    """Give a new workspace its ID types and its first data source; harmless when repeated."""
    known = set(workspace.id_types.values_list("code", flat=True))
    with override(workspace.language):
        IdType.objects.bulk_create(
            IdType(
                workspace=workspace,
                priority=len(known) + priority,
                **{**preset._asdict(), "name": str(preset.name)},
            )
            for priority, preset in enumerate(
                (preset for preset in ID_TYPES if preset.code not in known), start=1
            )
        )
        DataSource.objects.bulk_create(
            [DataSource(workspace=workspace, code=DEFAULT_SOURCE, name=str(_("Uploaded files")))],
            ignore_conflicts=True,
        )
