"""What the run page says about a run's progress: figures and reasons."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from journeys import components, runs, uses
from journeys.choices import RunState
from journeys.ending import REASONS
from journeys.layout import Number
from journeys.models import Run
from journeys.runs import Progress, StepProgress
from journeys.views import filters, waits, words
from workspaces import sentences

# How people end at a step, in the page's order: the tally's word, on screen, its dot.
ENDS: Final = (
    ("dead", gettext_lazy("Failed"), "red"),
    ("skipped", gettext_lazy("Skipped"), ""),
    ("expired", gettext_lazy("Too late"), "amber"),
    ("uncertain", gettext_lazy("Outcome unknown"), "amber"),
)


@dataclass(frozen=True, slots=True)
class Figure:
    label: str | Promise
    value: int
    tone: str | None = None  # None shows no dot.
    url: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """People of one step who were not accepted, for one reason."""

    url: str
    sentence: str
    step: str
    label: str | Promise
    tone: str
    count: int


@dataclass(frozen=True, slots=True)
class Filled:
    """How often a variable had no value, and what went out in its place."""

    url: str
    token: str
    parameter: str
    step: str
    default: str  # Empty when nothing went out.
    count: int


def shown(run: Run, *, now: datetime) -> dict[str, Any]:
    """Return the context of ``journeys/_numbers.html``."""
    progress = runs.progress_of(run, now=now)
    is_open = run.state in uses.OPEN_STATES
    label = _label(progress)
    return {
        "progress": progress,
        "is_open": is_open,
        # After a stop the people who were taken out are ended by and by.
        "is_live": is_open or progress.waiting > 0,
        "is_listening": run.is_event and run.closed_at is None,
        "label": label,
        "detail": _detail(progress),
        "figures": _figures(progress),
        "waits": waits.of(progress, now=now) if is_open else [],
        "remark": _remark(run) if not is_open else "",
        "remark_tone": "red" if run.state == RunState.FAILED else "",
        "reasons": [ended for step in progress.steps for ended in _ended(run, step)],
        "filled": [filled for step in progress.steps for filled in _filled(run, step)],
        "steps": [
            {
                "name": _name(step),
                "webhook": step.plan.webhook.name,
                "numbers": numbers(run, step),
            }
            for step in progress.steps
        ],
    }


def _name(step: StepProgress) -> str:
    return step.step.name or str(components.of(step.step).label)


def _label(progress: Progress) -> str:
    """Return how far it is as one sentence, which is also read out."""
    run = progress.run
    if run.started_at is None:
        return _("Not started")
    if run.is_event:
        people = ngettext(
            "%(people)s person has entered", "%(people)s people have entered", run.people
        )
        return people % {"people": words.number(run.people)}
    if len(progress.steps) == 1:
        done = ngettext(
            "%(ended)s of %(people)s person done", "%(ended)s of %(people)s people done", run.people
        )
        return done % {"ended": words.number(progress.ended), "people": words.number(run.people)}
    return _("%(percent)s done") % {"percent": sentences.percent(progress.percent)}


def _detail(progress: Progress) -> str:
    """Return the rate, and how long it still takes or took."""
    run = progress.run
    if run.started_at and run.ended_at:
        seconds = max((run.ended_at - run.started_at).total_seconds(), 1.0)
        took = {"time": words.duration(seconds), "rate": _rate(progress.ended / seconds)}
        return _("%(rate)s, took %(time)s") % took
    if run.state not in (RunState.PLANNING, RunState.RUNNING) or progress.rate <= 0:
        return ""
    if progress.seconds_left is None:
        return _rate(progress.rate)
    left = {"rate": _rate(progress.rate), "time": words.duration(progress.seconds_left)}
    return _("%(rate)s, %(time)s left") % left


def _rate(rate: float) -> str:
    if rate >= 1:
        return _("%(rate)s people a second") % {"rate": words.number(round(rate))}
    return _("%(rate)s people a minute") % {"rate": words.number(round(rate * 60))}


def _figures(progress: Progress) -> list[Figure]:
    behind = partial(filters.address, progress.run)
    # Who is still in a run that was cut off is taken out by and by. One that ran to its end has
    # nobody, or people who are sent to again.
    is_cut_off = progress.run.state in (RunState.STOPPED, RunState.FAILED)
    waiting = _("Being taken out") if is_cut_off and progress.waiting else _("Waiting")
    rest = [
        Figure(_("Too late"), progress.expired, "amber", behind(state="expired")),
        Figure(_("Outcome unknown"), progress.uncertain, "amber", behind(state="uncertain")),
        Figure(_("Taken out"), progress.cancelled, "", behind(state="cancelled")),
    ]
    return [
        Figure(_("People"), progress.people, url=behind()),
        Figure(_("Accepted"), progress.accepted, "green", behind(state="delivered")),
        Figure(_("Failed"), progress.failed, "red", behind(state="dead")),
        Figure(waiting, progress.waiting, "open", behind(state="queued")),
        Figure(_("Skipped"), progress.skipped, "", behind(state="skipped")),
        *[figure for figure in rest if figure.value],
    ]


def numbers(run: Run, step: StepProgress) -> list[Number]:
    """Return a step's four counts, each leading to its people; for its node and its row."""
    behind = partial(filters.address, run, step=step.step.key)
    counts = step.counts
    return [
        Number("waiting", _("Waiting"), counts.queued, behind(state="queued")),
        Number("accepted", _("Accepted"), counts.delivered, behind(state="delivered")),
        Number("failed", _("Failed"), counts.dead, behind(state="dead")),
        Number("skipped", _("Skipped"), counts.skipped, behind(state="skipped")),
    ]


def _remark(run: Run) -> str:
    """Return why a run ended as it did, where nobody decided it."""
    return str(REASONS.get(run.state_reason, ""))


def _ended(run: Run, step: StepProgress) -> list[Ended]:
    found = []
    for state, label, tone in ENDS:
        for code, count in step.counts.by_reason(state).items():
            sentence = words.reason(code, step.plan.definition) or str(label)
            url = filters.address(run, step=step.step.key, tally=f"{state}:{code}")
            found.append(Ended(url, sentence, _name(step), label, tone, count))
    return sorted(found, key=lambda ended: -ended.count)


def _filled(run: Run, step: StepProgress) -> list[Filled]:
    defaults = {
        (parameter["name"], variable["name"]): variable.get("default", "")
        for parameter in step.plan.definition["parameters"]
        for variable in parameter.get("variables") or ()
    }
    labels = {each["name"]: each["label"] for each in step.plan.revision.parameters}
    found = []
    for counts, kind in ((step.defaulted, "default"), (step.blanked, "blank")):
        for key, count in counts.items():
            parameter, _colon, variable = key.rpartition(":")
            default = defaults.get((parameter, variable), "") if kind == "default" else ""
            token = "${" + variable + "}"
            url = filters.address(run, step=step.step.key, tally=f"{kind}:{key}")
            found.append(
                Filled(url, token, labels.get(parameter, parameter), _name(step), default, count)
            )
    return found
