"""The web process: ``gunicorn qa_webhook.wsgi``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "qa_webhook.settings")

application = get_wsgi_application()
