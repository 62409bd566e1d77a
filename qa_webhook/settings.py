"""Every setting, from the environment; with none set, this checkout's own embedded services.

`.env.example` explains the variables. Importing this module starts nothing.
"""

import base64
import hashlib
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import django_stubs_ext
import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from qa_webhook import local, logs

# Lets annotations like ModelAdmin[Webhook] be evaluated.
django_stubs_ext.monkeypatch()

BASE_DIR: Final[Path] = local.BASE_DIR
env = environ.Env()

# The name on every screen. The organization may change it; nothing else depends on it.
PRODUCT_NAME = env.str("PRODUCT_NAME", default="Beckon")

EMBEDDED: Final = not env.str("DATABASE_URL", default="")
DEBUG = env.bool("DEBUG", default=False)


def _secret(name: str) -> str:
    """A secret of the environment; embedded, the one that was generated for this checkout."""
    value: str = env.str(name, default="")
    if value:
        return value
    if EMBEDDED:
        return _generated[name]
    raise ImproperlyConfigured(f"Set {name}: with DATABASE_URL set, no secret is generated.")


_generated = local.keys() if EMBEDDED else {}

SECRET_KEY = _secret("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
# "id:base64 of 32 bytes": the first one encrypts, all decrypt. Never derived from SECRET_KEY.
FIELD_KEYS: list[str] = [part.strip() for part in _secret("FIELD_KEYS").split(",") if part.strip()]
# Keys the hashes that make delivery and message ids; changing it makes new ids for old deliveries.
DELIVERY_KEY_BASE64 = _secret("DELIVERY_KEY")
DELIVERY_KEY: bytes = base64.b64decode(DELIVERY_KEY_BASE64)

# -- Where people and other systems find us --------------------------------------------------------

PORT = env.int("PORT", default=8000)
SITE_URL: str = env.str("SITE_URL", default=f"http://127.0.0.1:{PORT}").rstrip("/")
_site = urlsplit(SITE_URL)
_secure = _site.scheme == "https"
_local_hosts = ["127.0.0.1", "localhost", "[::1]"] if EMBEDDED else []
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[_site.hostname or "", *_local_hosts])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[SITE_URL])

# -- What may be reached from here -----------------------------------------------------------------

# The demo's own receiver: one host, one port.
RECEIVER_PORT = env.int("RECEIVER_PORT", default=8010)
RECEIVER_URL: str = env.str("RECEIVER_URL", default=f"http://127.0.0.1:{RECEIVER_PORT}")
# Intranet ranges that webhooks may call, as CIDR[:port]; plain http is allowed to these alone.
EGRESS_ALLOW: list[str] = env.list(
    "EGRESS_ALLOW", default=[f"127.0.0.1/32:{RECEIVER_PORT}"] if EMBEDDED else []
)
# Beside 443 and 8443, for webhooks anywhere.
EGRESS_PORTS: list[int] = env.list("EGRESS_PORTS", cast=int, default=[])
# Certificates that webhooks are trusted by; empty: those of certifi.
EGRESS_CA_FILE: str = env.str("EGRESS_CA_FILE", default="")

# -- Apps, in layers: each imports only from those above it here -----------------------------------

INSTALLED_APPS = [
    "qa_webhook.apps.ProjectConfig",
    "workspaces",
    "identity",
    "webhooks",
    "journeys",
    "qa_webhook.apps.ConsoleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "guardian",
    "rest_framework",
]

MIDDLEWARE = [
    "qa_webhook.health.middleware",
    "qa_webhook.middleware.request_log",
    "django.middleware.security.SecurityMiddleware",
    "qa_webhook.middleware.permissions_policy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "workspaces.middleware.member",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "qa_webhook.urls"
WSGI_APPLICATION = "qa_webhook.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "qa_webhook.context.product",
                "workspaces.context.frame",
            ],
        },
    },
]

# -- Database and cache ----------------------------------------------------------------------------

# Two roles on one database: the owner migrates, the run-time role does everything else and owns
# nothing. manage.py asks for the owner where a command needs it (see OWNER_COMMANDS there).
_runtime_url = env.str("DATABASE_URL", default="") or local.postgres_url(local.RUNTIME_ROLE)
_owner_url = env.str("DATABASE_OWNER_URL", default="") or (
    local.postgres_url(local.OWNER_ROLE) if EMBEDDED else _runtime_url
)


def _database(url: str) -> dict[str, Any]:
    parts: dict[str, Any] = env.db_url_config(url)
    return {**parts, "HOST": unquote(parts["HOST"])}  # a socket's directory comes percent-encoded


DATABASE_ROLES: dict[str, dict[str, Any]] = {
    "owner": _database(_owner_url),
    "runtime": _database(_runtime_url),
}
_database_role = DATABASE_ROLES[env.str("DATABASE_ROLE", default="runtime")]
# A machine that vanished says nothing: without these a process waits a quarter of an hour for it.
# Over a socket of this machine they mean nothing, and DATABASE_URL may give others (?name=value).
_network_limits: dict[str, int] = {
    "connect_timeout": 5,  # Seconds, as the next three are.
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # Milliseconds until what was sent must have been taken.
}
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        **_database_role,
        "OPTIONS": {**_network_limits, **_database_role.get("OPTIONS", {})},
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": env.int("CONN_MAX_AGE", default=600),
        "CONN_HEALTH_CHECKS": True,
    }
}

# Shared by all processes: throttles and log-in limits count in it. Never the broker.
_cache_url: str = env.str("CACHE_URL", default="")
CACHES: dict[str, dict[str, Any]] = {
    "default": env.cache_url_config(_cache_url)
    if _cache_url
    else {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "django_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

# -- Celery: hints only, the truth is in PostgreSQL ------------------------------------------------

CELERY_BROKER_URL: str = env.str("CELERY_BROKER_URL", default="") or local.valkey_url()
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "misc"
# Planning never stands in the way of sending.
CELERY_TASK_ROUTES = {
    "journeys.tasks.sweep": {"queue": "plan"},
    "webhooks.tasks.drain_lane": {"queue": "send"},
}
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 1_000
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 400_000  # kB
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Without this Celery closes the database connection around every task: a factor of 2.4, measured.
CELERY_DB_REUSE_MAX = 1_000
_over_redis = urlsplit(CELERY_BROKER_URL).scheme.startswith(("redis", "valkey"))
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {} if _over_redis else {"confirm_publish": True}
CELERY_WORKER_DISABLE_PREFETCH = _over_redis

# -- The sender: webhooks.lines.Options by name, as JSON; the defaults are for real use ------------

SENDER_OPTIONS: dict[str, Any] = env.json("SENDER_OPTIONS", default={})

# -- How long what is kept; 0 for ever. manage.py prune lets go of what is older -------------------

KEEP_DELIVERY_DAYS = env.int("KEEP_DELIVERY_DAYS", default=0)
KEEP_EVENT_MONTHS = env.int("KEEP_EVENT_MONTHS", default=0)
KEEP_TEST_DAYS = env.int("KEEP_TEST_DAYS", default=0)
KEEP_NOTICE_DAYS = env.int("KEEP_NOTICE_DAYS", default=90)

# -- Metrics: /metrics answers to this bearer token alone; without one it is not there ------------

METRICS_TOKEN: str = env.str("METRICS_TOKEN", default="")

# -- Log-in ----------------------------------------------------------------------------------------

AUTH_USER_MODEL = "workspaces.User"
AUTHENTICATION_BACKENDS = [
    "allauth.account.auth_backends.AuthenticationBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "qa_webhook.accounts.ClosedAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_FORMS = {
    "login": "workspaces.forms.LogInForm",
    "change_password": "workspaces.forms.ChangePasswordForm",
    "set_password": "workspaces.forms.SetPasswordForm",
    "reset_password": "workspaces.forms.ResetPasswordForm",
    "reset_password_from_key": "workspaces.forms.NewPasswordForm",
    "reauthenticate": "workspaces.forms.ReauthenticateForm",
}
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
MFA_FORMS = {
    "authenticate": "workspaces.forms.CodeForm",
    "reauthenticate": "workspaces.forms.CodeAgainForm",
    "activate_totp": "workspaces.forms.FirstCodeForm",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = PRODUCT_NAME
MFA_ALLOW_UNVERIFIED_EMAIL = True  # the administrator who added a member vouches for it
GUARDIAN_RAISE_403 = False
ANONYMOUS_USER_NAME = None

# -- Security headers ------------------------------------------------------------------------------

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=_secure)
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000 if _secure else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = _secure
SECURE_HSTS_PRELOAD = _secure
# Only a proxy that overwrites the header may be trusted with it.
_proxies = int(env.bool("BEHIND_TLS_PROXY", default=False))
if _proxies:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Whose address a log-in or API limit counts by.
ALLAUTH_TRUSTED_PROXY_COUNT = _proxies
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = _secure
# Another installation on this host is told apart, and all web machines of one have the same.
_mark = hashlib.sha256(f"cookies:{SECRET_KEY}".encode()).hexdigest()[:10]
SESSION_COOKIE_NAME = "__Host-session" if _secure else f"session-{_mark}"
CSRF_COOKIE_NAME = "__Host-csrf" if _secure else f"csrf-{_mark}"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "workspaces.views.csrf_failure"
SESSION_COOKIE_AGE = 14 * 24 * 3600
CONTENT_SECURITY_POLICY: dict[str, Any] = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

# -- Static files ----------------------------------------------------------------------------------

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Hashed and compressed names need `collectstatic`, which the image's build does; a checkout serves
# the files as they are.
STATIC_MANIFEST = env.bool("STATIC_MANIFEST", default=False)
STATIC_ROOT = BASE_DIR / "staticfiles" if STATIC_MANIFEST else None
WHITENOISE_USE_FINDERS = not STATIC_MANIFEST
WHITENOISE_AUTOREFRESH = DEBUG
_static = "whitenoise.storage.CompressedManifestStaticFilesStorage"
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": _static
        if STATIC_MANIFEST
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
MEDIA_ROOT = env.path("MEDIA_ROOT", default=str(local.DIRECTORY / "uploads"))
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000

# -- Language and time -----------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
FORMAT_MODULE_PATH = "qa_webhook.formats"
TIME_ZONE = "UTC"

# -- API -------------------------------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["workspaces.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.CursorPagination",
    "PAGE_SIZE": 50,
    "NUM_PROXIES": _proxies,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": f"{PRODUCT_NAME} API",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    # What the API can do is no secret; what is in it needs a key.
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# -- Mail, only for those who want it: passwords are set through one-time links --------------------

vars().update(env.email_url("EMAIL_URL", default="dummymail://"))
EMAIL_TIMEOUT = 10  # Seconds; who waits for it has other work.
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default=f"console@{_site.hostname}")

# -- Logs ------------------------------------------------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOG_FORMAT = env.str("LOG_FORMAT", default="console" if sys.stderr.isatty() else "json")
LOGGING_CONFIG = None
logs.configure(level=LOG_LEVEL, form=LOG_FORMAT)
