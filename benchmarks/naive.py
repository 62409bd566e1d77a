"""The obvious design, tuned: one Celery task a person, ORM reads, one save, kept connections.

Tuned means what a careful author finds: the database connection is kept between tasks
(``CELERY_DB_REUSE_MAX``), and so is the ``requests.Session``; no result backend, hints of the
worker off. Everything else is the way it is written first.

    DATABASE_URL=… celery -A benchmarks.naive worker -Q bench_naive -c 2
"""

import base64
import hashlib
import hmac
import json
import os
import re
import time
import uuid
from typing import Any

import requests
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "qa_webhook.settings")

app = Celery("naive")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_default_queue="bench_naive",
    task_routes={},
    worker_max_tasks_per_child=None,
    worker_prefetch_multiplier=4,
    worker_disable_prefetch=False,
    beat_schedule={},
)

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_kept: dict[str, Any] = {}


@app.task(name="benchmarks.naive.send_one", ignore_result=True)
def send_one(qaid: int, plan_id: int, chunk_id: int, url: str, secret: str) -> None:
    """Send one person's request and record it."""
    import django
    from django.utils import timezone

    if not django.apps.apps.ready:
        django.setup()
    from benchmarks.scenario import TEXT, VARIABLES
    from identity.models import Identifier, Profile
    from webhooks.models import Delivery, Plan

    session = _kept.setdefault("session", requests.Session())
    plan = Plan.objects.select_related("webhook").get(pk=plan_id)
    profile = Profile.objects.get(pk=qaid)
    identifier = (
        Identifier.objects.filter(profile_id=qaid, id_type_id=plan.definition["id_type"]["id"])
        .order_by("-last_seen")
        .first()
    )
    if identifier is None:
        return
    codes = {str(each["name"]): str(each["code"]) for each in VARIABLES}
    content = _VARIABLE.sub(lambda found: str(profile.tags.get(codes[found[1]], "")), TEXT)
    message_id = f"msg_{uuid.uuid4().hex}"
    delivery_id = f"dlv_{uuid.uuid4().hex[:27]}"
    recipient = {
        "delivery_id": delivery_id,
        "id": identifier.value,
        "reach_id": identifier.value,
        "params": {"content": content, "amount": 20, "until": "2026-12-31"},
    }
    body = json.dumps(
        {
            "type": "webhook.message",
            "id": message_id,
            "test": False,
            "id_type": plan.definition["id_type"]["code"],
            "reach_id_type": plan.definition["id_type"]["code"],
            "recipients": [recipient],
        }
    ).encode()
    stamp = str(int(time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join([message_id.encode(), stamp.encode(), body])
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    answer = session.post(
        url,
        data=body,
        timeout=10,
        headers={
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{signature}",
        },
    )
    now = timezone.now()
    Delivery(
        id=delivery_id,
        day=now.date(),
        workspace_id=plan.workspace_id,
        webhook_id=plan.webhook_id,
        plan_id=plan.pk,
        chunk_id=chunk_id,
        position=0,
        qaid=qaid,
        message_id=message_id,
        state="delivered" if answer.ok else "dead",
        sent_id=identifier.value,
        reach_id=identifier.value,
        texts=[content],
        attempts=1,
        status_code=answer.status_code,
        answer=answer.text[:4096],
        first_attempt_at=now,
        updated_at=now,
    ).save(force_insert=True)
