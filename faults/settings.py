"""The project's settings, where processes may be told to fail."""

from typing import Final

from qa_webhook.settings import *  # noqa: F403

FAULTS_ALLOWED: Final = True
INSTALLED_APPS = [*INSTALLED_APPS, "faults"]  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
