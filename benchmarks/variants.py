"""The same people over TLS, and to a receiver that refuses every tenth request."""

import json
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.pipeline import SENDERS, WARM_UP_PEOPLE, send, wrk
from benchmarks.processes import Manage, Receiver, children, cpu_seconds
from benchmarks.scenario import Scenario
from webhooks.models import Webhook

FAIL_PERCENT: Final = 10
# Scaled from minutes; one in ten million people fails seven times.
SCHEDULE: Final = (0.2, 0.4, 0.8, 0.8, 0.8, 0.8)


def tls(setting: Scenario, people: int, environment: dict[str, str]) -> dict[str, Any] | None:
    """Return the rate over TLS and what wrk reaches there; None without the openssl program."""
    if shutil.which("openssl") is None:
        return None
    with TemporaryDirectory() as folder:
        certificate = _certificate(Path(folder))
        with Receiver(
            setting.secret, "--certificate", str(certificate), environment=environment
        ) as receiver:
            Webhook.objects.filter(pk=setting.webhook.pk).update(url=receiver.url)
            trusting = environment | {"EGRESS_CA_FILE": str(certificate)}
            rate, _cpu = _measured(setting, people, trusting)
            ceiling = wrk(setting, receiver)
    return {
        "people_per_second": round(rate, 1),
        "wrk": ceiling,
        "ratio_wrk": round(rate / ceiling["people_per_second"], 2) if ceiling else None,
    }


def flaky(setting: Scenario, people: int, environment: dict[str, str]) -> dict[str, Any]:
    """Return the senders' processor time a person, beside that of a run without failures."""
    failing = ("--mode", "failing", "--status", "503", "--fail-percent")
    retrying = environment | {"SENDER_OPTIONS": json.dumps({"schedule": SCHEDULE})}
    cpu = {}
    for percent in (0, FAIL_PERCENT):
        refusing = (*failing, str(percent)) if percent else ()
        with Receiver(setting.secret, *refusing, environment=environment) as receiver:
            Webhook.objects.filter(pk=setting.webhook.pk).update(url=receiver.url)
            rate, cpu[percent] = _measured(setting, people, retrying)
            duplicates = receiver.stats()["duplicates"]
    return {
        "people_per_second": round(rate, 1),
        "fail_percent": FAIL_PERCENT,
        "duplicates": duplicates,
        "cpu_us_per_person": round(cpu[FAIL_PERCENT], 1),
        "cpu_us_per_person_clean": round(cpu[0], 1),
        "ratio_cpu": round(cpu[FAIL_PERCENT] / cpu[0], 2),
    }


def _measured(setting: Scenario, people: int, environment: dict[str, str]) -> tuple[float, float]:
    """Return people a second, and microseconds of the senders' processor time a person.

    Raises:
        RuntimeError: somebody was not delivered.
    """
    with Manage("sender", "--processes", str(SENDERS), environment=environment) as senders:
        send(setting, min(WARM_UP_PEOPLE, people))
        pids = children(senders.pid)
        before = cpu_seconds(pids)
        seconds, _planning = send(setting, people)
        return people / seconds, (cpu_seconds(pids) - before) / people * 1e6


def _certificate(folder: Path) -> Path:
    """Make a certificate for this machine that nobody else trusts, with its key in one file."""
    key, made = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-days", "2", "-nodes", "-subj", "/CN=receiver"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)),
        ],
        check=True,
        capture_output=True,
    )
    made.write_text(made.read_text() + key.read_text())
    return made
