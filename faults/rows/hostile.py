"""Groups D and E: receivers that mean harm, values that mean harm, addresses that lead inside."""

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from faults.matrix import Figures, row, tests
from faults.processes import Process, check
from faults.rig import Rig
from webhooks.choices import Guarantee
from webhooks.models import Delivery

_TRANSPORT = "tests/webhooks/test_transport.py"
_EGRESS = "tests/webhooks/test_egress.py"
_HEADERS = "tests/webhooks/test_headers.py"
_BODIES = "tests/webhooks/test_bodies.py"
_IMPORTING = "tests/identity/test_importing.py"
_TEST_SENDS = "tests/webhooks/test_test_sends.py"
_RENDERING = "tests/webhooks/test_rendering.py"


@row("D1", "answers that drip, in the header and in the body", guard="deadline", is_short=True)
def drips(rig: Rig) -> Figures:
    deadline = 1
    fields = {"people": 8, "submit": 8, "timeout_seconds": deadline}
    scenes = [
        rig.scene("drip-header/0.05", **fields),
        rig.scene("drip-body/0.0005", **fields),
        rig.scene("hang", **fields),
    ]
    rig.sender(schedule=[])
    rig.wait_until_done(*scenes, seconds=25)
    slowest = 0
    for scene in scenes:
        reasons = scene.counts().by_reason("dead")
        check(reasons == {"read_timeout": 8}, f"all are cut off for the time: {reasons}")
        slowest = max(slowest, *(each.duration_ms or 0 for each in scene.deliveries()))
    check(slowest <= deadline * 1_000 + 1_500, f"at the deadline, not after {slowest} ms")
    return {"deadline in s": deadline, "cut after ms": slowest}


def peak_mb(process: Process) -> float:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


@row("D2", "answers of 200 MB, bombs in bombs, endless ones, headers without end", guard="cap")
def big_answers(rig: Rig) -> Figures:
    warm = rig.scene("ok", people=50, submit=50)
    sender = rig.sender(lease_seconds=30.0)
    rig.wait_until_done(warm)
    before = peak_mb(sender)
    fields: dict[str, Any] = {"people": 12, "submit": 12, "timeout_seconds": 10, "concurrency": 8}
    told = ("big/200", "bomb", "nested/5", "endless", "headers/10000", "long-header/1000000")
    scenes = [rig.scene(each, **fields) for each in told]
    begun = rig.scene("interim", guarantee=Guarantee.AT_MOST_ONCE, **fields)
    rig.wait_until_done(*scenes, begun, seconds=90)
    grown = peak_mb(sender) - before
    for scene in scenes:
        check(scene.counts().delivered == 12, "they are judged by their status")
    kept = max(len(answer) for answer in Delivery.objects.values_list("answer", flat=True))
    check(kept <= 4_096, f"4 KB are kept, not {kept}")
    # Nothing but the beginning of an answer is none.
    reasons = begun.counts().by_reason("uncertain")
    check(sum(reasons.values()) == 12, f"an answer that only begins is none: {reasons}")
    check(grown < 12, f"memory does not follow the answers; it grew by {grown:.0f} MB")
    return {"answers": 12 * 7, "memory grew by MB": round(grown, 1)}


@row("D4", "redirects, to another receiver and to a file", guard="redirect")
def redirects(rig: Rig) -> Figures:
    other = rig.receiver()
    targets = [other.url("/-/ok"), "file:///etc/passwd", "http://127.0.0.2:80/"]
    scenes = []
    for status in (301, 302, 303, 307, 308):
        for target in targets:
            scene = rig.scene(f"redirect/{quote(target, safe='')}/{status}", people=1, submit=1)
            rig.allowed.uncounted.add(scene.webhook.url.partition(str(rig.ledger.port))[2])
            scenes.append(scene)
    rig.sender()
    rig.wait(lambda: rig.ledger.count() >= len(scenes), "all were answered")
    time.sleep(0.5)
    check(other.count() == 0, f"the other receiver sees nothing, not {other.count()}")
    check(not Delivery.objects.filter(state="delivered").exists(), "and nobody is delivered")
    return {"redirects": len(scenes), "followed": other.count()}


row("D3", "broken HTTP and TLS, dead kept connections")(
    tests(
        f"{_TRANSPORT}::test_a_broken_answer_has_a_class",
        f"{_TRANSPORT}::test_too_many_headers_end_the_request",
        f"{_TRANSPORT}::test_a_bad_certificate_ends_it_before_anything_is_sent",
        f"{_TRANSPORT}::test_a_port_that_speaks_no_tls_is_a_broken_handshake",
        f"{_TRANSPORT}::test_connections_are_kept_and_replaced_when_the_other_side_closed",
        f"{_TRANSPORT}::test_at_most_once_uses_a_connection_of_its_own_and_repeats_nothing",
    )
)
row("D5", "headers with line breaks, of ours, of HTTP's own")(tests(_HEADERS))
row("D6", "values that look like code, markup or structure")(
    tests(
        f"{_BODIES}::test_any_value_and_any_id_arrive_as_one_string",
        f"{_BODIES}::test_a_value_never_adds_structure_nor_is_filled_in_again",
        f"{_BODIES}::test_a_lone_surrogate_arrives_as_itself",
        f"{_BODIES}::test_a_message_beyond_eight_megabytes_is_refused",
        f"{_RENDERING}::test_a_value_that_looks_like_something_is_only_text",
        f"{_RENDERING}::test_any_values_stand_where_their_variables_stood",
    )
)
row("D7", "empty values, by each rule")(
    tests(
        f"{_RENDERING}::test_the_empty_rule",
        f"{_RENDERING}::test_zero_and_false_and_blanks_are_values",
        f"{_RENDERING}::test_a_default_is_not_expanded_either",
    )
)
row("D8", "cells that are formulas, files with NULs, marks and cut ends")(
    tests(
        "tests/journeys/test_views_deliveries.py::test_no_cell_is_a_formula",
        f"{_IMPORTING}::test_gzip_and_a_byte_order_mark_are_recognised",
        f"{_IMPORTING}::test_a_file_that_cannot_be_read_says_why",
        f"{_IMPORTING}::test_a_cut_gzip_file_keeps_what_was_read",
        f"{_IMPORTING}::test_a_nul_byte_costs_its_line_only",
    )
)
row("D9", "many test sends, at inner addresses, without the right to them")(
    tests(
        f"{_TEST_SENDS}::test_many_tests_in_a_short_time_are_refused",
        f"{_TEST_SENDS}::test_both_gates_are_asked_when_a_test_is_sent",
        f"{_TEST_SENDS}::test_the_door_out_is_the_engines",
        f"{_TEST_SENDS}::test_nothing_stored_shows_the_id_or_a_secret",
    )
)
row("E1", "inner addresses in every spelling, on save and at the socket", guard="egress")(
    tests(
        _EGRESS,
        f"{_TRANSPORT}::test_a_refused_address_gets_no_socket",
        f"{_TRANSPORT}::test_other_spellings_meet_the_same_check",
    )
)
row("E4", "proxies, .netrc and certificates of the environment")(
    tests(
        f"{_TRANSPORT}::test_proxies_and_netrc_of_the_environment_are_ignored",
        f"{_TRANSPORT}::test_certificates_of_the_environment_are_not_trusted",
    )
)
row("E5", "one door out, for the whole product")(tests("tests/test_doors.py"))
row("E6", "the operator's list opens its ranges, never metadata", guard="egress")(
    tests(
        f"{_EGRESS}::test_the_operators_list_opens_its_ranges_and_ports_only",
        f"{_EGRESS}::test_metadata_is_not_dialled_whatever_is_allowed",
        f"{_EGRESS}::test_the_policy_comes_from_the_settings_alone",
    )
)
