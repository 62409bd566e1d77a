"""The form that gives usage permissions."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from webhooks import granting
from webhooks.granting import Grantees
from workspaces.choices import Preset
from workspaces.models import MemberGroup, Membership, Role, Workspace
from workspaces.permissions import members_with


class MembersField(forms.ModelMultipleChoiceField[Membership]):
    """Members as check boxes; whoever lacks the role permission is marked."""

    widget = forms.CheckboxSelectMultiple
    pointed: frozenset[int] = frozenset()

    def label_from_instance(self, obj: Membership) -> str:
        return obj.user.full_label


class GrantForm(forms.Form):
    """Members, roles and member groups at once, and the role that mends the other gate."""

    members = MembersField(Membership.objects.none(), required=False, label=_("Workspace members"))
    roles = forms.ModelMultipleChoiceField(
        Role.objects.none(),
        required=False,
        label=_("Roles"),
        widget=forms.CheckboxSelectMultiple,
    )
    groups = forms.ModelMultipleChoiceField(
        MemberGroup.objects.none(),
        required=False,
        label=_("Member groups"),
        widget=forms.CheckboxSelectMultiple,
    )
    reason = forms.CharField(max_length=500, required=False, label=_("Reason"))
    ends_at = forms.DateTimeField(
        required=False,
        label=_("Ends"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=_("Empty: no end."),
    )
    mends = forms.BooleanField(
        required=False, initial=True, label=_("Add the missing role permission, through the role")
    )
    mend = forms.ModelChoiceField(
        Role.objects.none(), required=False, label=_("Role that gives it"), empty_label=None
    )

    def __init__(self, *args: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Administrators may use every webhook.
        lived = (
            Membership.objects.live()
            .filter(workspace=workspace)
            .exclude(roles__preset=Preset.ADMINISTRATOR)
            .select_related("user")
        )
        members = self.fields["members"]
        members.queryset = lived.order_by("user__name", "user__email")  # type: ignore[attr-defined] # a choice field
        self.pointed = frozenset(
            members_with(workspace, granting.POINT).values_list("pk", flat=True)
        )
        own = Role.objects.filter(workspace=workspace).exclude(preset=Preset.ADMINISTRATOR)
        self.fields["roles"].queryset = own.order_by("name")  # type: ignore[attr-defined] # a choice field
        groups = MemberGroup.objects.filter(workspace=workspace).order_by("name")
        self.fields["groups"].queryset = groups  # type: ignore[attr-defined] # a choice field
        mending = [role.pk for role in granting.mending_roles(workspace)]
        self.fields["mend"].queryset = Role.objects.filter(pk__in=mending)  # type: ignore[attr-defined] # a choice field
        self.fields["mend"].initial = mending[0] if mending else None

    @property
    def grantees(self) -> Grantees:
        return Grantees(
            members=list(self.cleaned_data["members"]),
            roles=list(self.cleaned_data["roles"]),
            groups=list(self.cleaned_data["groups"]),
        )

    @property
    def mending_role(self) -> Role | None:
        role: Role | None = self.cleaned_data["mend"] if self.cleaned_data["mends"] else None
        return role

    def member_rows(self) -> list[dict[str, Any]]:
        """Return each member's check box with whether the role permission is there already."""
        bound = self["members"]
        users = {str(row.pk): row.user_id for row in self.fields["members"].queryset}  # type: ignore[attr-defined] # a choice field
        return [
            {"box": box, "has_point": users.get(str(box.data["value"])) in self.pointed}
            for box in bound.subwidgets
        ]
