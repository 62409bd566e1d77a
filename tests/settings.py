"""The project's settings, as the tests need them."""

import os

# Whatever installation this checkout is set up for, the tests keep away from it.
os.environ["ENV_FILE"] = os.devnull
# The tests start as the owner, who may make databases; conftest.py hands over to the run-time role.
os.environ["DATABASE_ROLE"] = "owner"
os.environ["LOG_FORMAT"] = "json"
os.environ["LOG_LEVEL"] = "WARNING"

from qa_webhook.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EGRESS_ALLOW = ["127.0.0.1/32"]
DATABASES["default"]["CONN_MAX_AGE"] = 0  # noqa: F405
# A test client is made a thousand times, and each would walk through every static file.
WHITENOISE_AUTOREFRESH = True
