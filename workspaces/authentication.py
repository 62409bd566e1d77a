"""How a system proves to the API which workspace it may speak for."""

from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from workspaces import api_keys
from workspaces.models import ApiKey, Workspace

if TYPE_CHECKING:
    # The views' module reads the settings that name this one.
    from rest_framework.views import APIView

KEYWORD = "Bearer"


class ApiClient:
    """The caller behind a key: a system, not a user, and without any of a user's rights."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, key: ApiKey) -> None:
        self.key = key
        # Throttles count by this.
        self.pk = f"api-key-{key.pk}"

    @property
    def workspace(self) -> Workspace:
        return self.key.workspace

    def __str__(self) -> str:
        return f"API key {self.key.name}"


class ApiKeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer <key>``; ``request.auth`` is the ``ApiKey``."""

    def authenticate(self, request: Request) -> tuple[ApiClient, ApiKey] | None:
        keyword, _space, secret = request.headers.get("Authorization", "").partition(" ")
        if keyword.lower() != KEYWORD.lower():
            return None
        key = api_keys.authenticate(secret.strip(), now=timezone.now())
        if key is None:
            raise AuthenticationFailed(
                _("This API key is unknown, revoked or expired. Ask an administrator for another.")
            )
        return ApiClient(key), key

    def authenticate_header(self, request: Request) -> str:
        return KEYWORD


class HasScope(BasePermission):
    """Admit a key that holds the view's ``required_scope``; without one nobody is admitted."""

    message = _("This API key may not be used for that. Ask an administrator for its scopes.")

    def has_permission(self, request: Request, view: "APIView") -> bool:
        required = getattr(view, "required_scope", None)
        return isinstance(request.auth, ApiKey) and required in request.auth.scopes
