"""What one person costs before and at the socket: render, sign, name, send. CPU time, no database.

    python benchmarks/webhook_parts.py [--people 20000] [--slots 64] [--url URL] [--json]

Sending goes to ``manage.py receiver`` in a process of its own; the column that counts is this
process's CPU time a request, since the receiver shares the machine.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "qa_webhook.settings")

import requests  # noqa: E402

from webhooks import bodies, headers  # noqa: E402
from webhooks.choices import ParameterType  # noqa: E402
from webhooks.egress import Policy  # noqa: E402
from webhooks.ids import DeliveryIds, MessageIds  # noqa: E402
from webhooks.rendering import (  # noqa: E402
    Binding,
    EmptyRule,
    ParameterPlan,
    Rendered,
    Source,
    Variable,
)
from webhooks.signing import Signer, key_of  # noqa: E402
from webhooks.transport import CurlTransport, Request  # noqa: E402

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
TEXT = "Dear ${name} Hello, you bought ${product} in ${city}"
TAGS = ["Zhang San", "shoes", "Shanghai"]
ROUNDS = 5


def variables() -> tuple[Variable, ...]:
    name = Variable("name", Source.TAG, "nickname", EmptyRule.DEFAULT, "Member")
    return name, Variable("product", Source.TAG, "p"), Variable("city", Source.TAG, "c")


PLAN = ParameterPlan(
    [
        Binding("content", ParameterType.TEXT, TEXT, variables=variables()),
        Binding("amount", ParameterType.NUMERIC, "20"),
        Binding("until", ParameterType.DATE, "2026-12-31"),
    ]
)
BODY = bodies.compile_body(None, PLAN, id_type="MOBILE", reach_id_type="MOBILE")
SIGNER = Signer([SECRET])
KEY = key_of(SECRET)


def rendered() -> Rendered:
    found = PLAN.render(TAGS)
    assert isinstance(found, Rendered)
    return found


def compiled() -> bytes:
    part = BODY.recipient("dlv_1", "13800000000", "13800000000", rendered())
    return BODY.message("msg_1", [part])


def compiled_and_signed() -> None:
    SIGNER.sign("msg_1", 1_796_000_000, compiled())


def filled(node: Any, named: dict[str, Any]) -> Any:
    if isinstance(node, str):
        return re.sub(r"\$\{([^}]+)\}", lambda match: str(named[match.group(1)]), node)
    if isinstance(node, dict):
        return {key: filled(value, named) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, named) for value in node]
    return node


TREE = {
    "type": "webhook.message",
    "id": "${message_id}",
    "test": False,
    "id_type": "MOBILE",
    "reach_id_type": "MOBILE",
    "recipients": [
        {
            "delivery_id": "${delivery_id}",
            "id": "${id}",
            "reach_id": "${id}",
            "params": {"content": TEXT, "amount": 20, "until": "2026-12-31"},
        }
    ],
}


def naive() -> bytes:
    """The way one writes it first: the message as a template, walked for each person."""
    named = dict(zip(("name", "product", "city"), TAGS, strict=True))
    named |= {"message_id": "msg_1", "delivery_id": "dlv_1", "id": "13800000000"}
    return json.dumps(filled(TREE, named), ensure_ascii=False, separators=(",", ":")).encode()


def naive_and_signed() -> None:
    signed = f"msg_1.1796000000.{naive().decode()}".encode()
    base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()


def microseconds(act: Callable[[], Any], times: int) -> float:
    """Return the best of some rounds, in CPU microseconds a call."""
    found = []
    for _round in range(ROUNDS):
        started = time.process_time()
        for _each in range(times):
            act()
        found.append((time.process_time() - started) / times * 1e6)
    return round(min(found), 2)


def sending(url: str, people: int, slots: int) -> dict[str, float]:
    """Make, sign and send one message a person; return rate and CPU."""
    ids = DeliveryIds(b"k" * 32, run=os.getpid(), step_key="s", day=date.today())  # noqa: DTZ011
    messages = MessageIds(b"k" * 32)
    shared = headers.lines(headers.environment({"workspace": "shop", "run": 17}))
    names = iter(ids.many(range(people)))
    left, refused = people, 0
    cpu, wall = time.process_time(), time.perf_counter()
    with CurlTransport(slots=slots, rules=Policy.of(["127.0.0.1/32"])) as transport:
        while left or transport.open:
            while left and transport.free:
                name, now = next(names), int(time.time())
                message_id = messages.one((name,))
                part = BODY.recipient(name, "13800000000", "13800000000", rendered())
                body = BODY.message(message_id, [part])
                own = headers.message_lines(message_id, now, SIGNER.sign(message_id, now, body))
                transport.submit(Request(url, [*shared, *own], body), None)
                left -= 1
            refused += sum(answer.status != 200 for answer in transport.poll(1.0))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {
        "requests_per_second": round(people / wall),
        "cpu_us_per_request": round(cpu / people * 1e6, 1),
        "requests_per_cpu_second": round(people / cpu),
        "not_accepted": refused,
    }


def with_receiver(people: int, slots: int) -> dict[str, Any]:
    command = [sys.executable, str(ROOT / "manage.py"), "receiver", "--port", "0"]
    process = subprocess.Popen([*command, "--secret", SECRET], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().split()[-1]
        found: dict[str, Any] = sending(url + "x", people, slots)
        ledger = requests.get(url + "stats", timeout=10).json()["ledgers"]["/x"]
        return found | {name: ledger[name] for name in ("delivered", "duplicates")}
    finally:
        process.terminate()
        process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--url", help="send there instead, to some fast sink on 127.0.0.1")
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    assert compiled() == naive()
    ids = DeliveryIds(b"k" * 32, run=1, step_key="s", day=date(2026, 11, 24))
    chunk = range(10**9, 10**9 + 500)
    figures: dict[str, Any] = {
        "render_us": microseconds(compiled, 10_000),
        "render_and_sign_us": microseconds(compiled_and_signed, 10_000),
        "naive_render_and_sign_us": microseconds(naive_and_signed, 10_000),
        "delivery_id_us": round(microseconds(lambda: ids.many(chunk), 40) / 500, 2),
    }
    figures["ratio_naive"] = round(
        figures["render_and_sign_us"] / figures["naive_render_and_sign_us"], 3
    )
    send = with_receiver if told.url is None else partial(sending, told.url)
    figures["sending"] = send(told.people, told.slots)
    if told.json:
        print(json.dumps(figures))
        return
    for name, value in (figures | figures.pop("sending")).items():
        print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
