"""What a component of the canvas is, and the loaded objects that its rules look at."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from django.db.models import TextChoices
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from identity.models import Audience, EventAttribute, EventType, IdType, Tag
from journeys.definition import Document, Step
from webhooks.grants import Gates
from webhooks.models import Webhook, WebhookRevision
from webhooks.rendering import Source
from workspaces.models import Workspace


class Group(TextChoices):
    """The groups of the component picker, in its order."""

    TRIGGER = "trigger", _("Start")
    PUSH = "push", _("Data push")
    CONTROL = "control", _("Flow")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is missing or wrong, and in which field: ``parameter:<name>`` for a value."""

    field: str
    sentence: str
    code: str
    step: UUID | None = None
    label: str = ""  # The parameter's name for people; a sentence alone does not tell which.

    def at(self, step: UUID) -> "Problem":
        return replace(self, step=step)


@dataclass(frozen=True, slots=True)
class VariableSource:
    """A tag or an event attribute that a variable may take its value from."""

    source: Source
    code: str
    name: str
    type: str  # text, number, date, boolean or list.
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Needs:
    """The ids that documents name, gathered so that each table is read once."""

    webhooks: frozenset[int] = frozenset()
    # By webhook and number, beside the newest ones, which are always read.
    revisions: frozenset[tuple[int, int]] = frozenset()
    audiences: frozenset[int] = frozenset()
    event_types: frozenset[int] = frozenset()

    def __or__(self, other: "Needs") -> "Needs":
        return Needs(
            webhooks=self.webhooks | other.webhooks,
            revisions=self.revisions | other.revisions,
            audiences=self.audiences | other.audiences,
            event_types=self.event_types | other.event_types,
        )


@dataclass(frozen=True, slots=True)
class Context:
    """What a document speaks of, loaded for one look at it (``journeys.context.load``).

    ``gates`` is empty when nobody's rights are asked about.
    """

    workspace: Workspace
    now: datetime
    document: Document = field(default_factory=Document)
    webhooks: Mapping[int, Webhook] = field(default_factory=dict)
    # By webhook and number: the newest of each, and those that steps were made with.
    revisions: Mapping[tuple[int, int], WebhookRevision] = field(default_factory=dict)
    with_aes_key: Collection[int] = frozenset()
    audiences: Mapping[int, Audience] = field(default_factory=dict)
    event_types: Mapping[int, EventType] = field(default_factory=dict)
    attributes: Mapping[int, tuple[EventAttribute, ...]] = field(default_factory=dict)
    id_types: Mapping[int, IdType] = field(default_factory=dict)
    tags: Mapping[str, Tag] = field(default_factory=dict)
    gates: Mapping[int, Gates] = field(default_factory=dict)
    # What the document's start offers to variables.
    sources: tuple[VariableSource, ...] = ()


class PeopleQuery(NamedTuple):
    """A statement that selects QAIDs (redirects resolved, each once) as its only column."""

    sql: str
    params: list[Any]


class Entry(NamedTuple):
    """One real person who would enter, with the event that would let them in."""

    qaid: int
    event_id: str = ""
    occurred_at: datetime | None = None
    attributes: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """How a published journey begins."""

    is_event: bool
    starts_at: datetime
    event_type_id: int | None = None


@dataclass(frozen=True, slots=True)
class Sending:
    """What a published step hands to the engine: the arguments of its plan."""

    webhook: Webhook
    revision: WebhookRevision
    definition: dict[str, Any]


class Component(ABC):
    """The rules of one kind of step, registered in ``journeys.components``.

    Its form and its template are found by its code.
    """

    code: ClassVar[str]
    label: ClassVar[str | Promise]
    group: ClassVar[Group]
    icon: ClassVar[str]
    addable: ClassVar[bool] = True

    def new_config(self) -> dict[str, Any]:
        """Return the config of a step that was just added."""
        return {}

    def needs(self, config: Mapping[str, Any]) -> Needs:
        return Needs()

    @abstractmethod
    def problems(self, step: Step, context: Context) -> list[Problem]:
        """Return what is missing before the step can be published, in the panel's order."""

    @abstractmethod
    def summary(self, step: Step, context: Context) -> str:
        """Return the line under the step's name on the canvas, or an empty string."""

    def refreshed(self, step: Step, context: Context) -> Step:
        """Return the step as it is kept: made for the newest of what it uses, without leftovers."""
        return step

    def sending(self, step: Step, context: Context) -> Sending | None:
        """Return what the engine needs; None for a component that sends nothing.

        Only for a step without problems.
        """
        return None


class StartComponent(Component):
    """A first component: who enters, when, and which variables the steps may use."""

    group = Group.TRIGGER
    # Whether people of this start are those of the last days, not those of a moment.
    is_recent: ClassVar[bool] = False

    @abstractmethod
    def sources(self, step: Step, context: Context) -> list[VariableSource]:
        """Return what variables may be taken from, the likeliest first."""

    @abstractmethod
    def people(self, step: Step, context: Context) -> PeopleQuery | None:
        """Return who coverage, fill rates and previews look at; None while it is not chosen."""

    @abstractmethod
    def entries(self, step: Step, context: Context) -> PeopleQuery | None:
        """Return who would enter, as a statement with two columns: QAID, event attributes or null.

        One row an entry: with an event start a person may stand there several times.
        """

    @abstractmethod
    def samples(self, step: Step, context: Context, *, size: int) -> list[Entry]:
        """Return some real entries, the same ones at each call while nothing changes."""

    def expected_a_day(self, step: Step, context: Context) -> float | None:
        """Return how many would have entered a day last week; None where that says nothing."""
        return None

    @abstractmethod
    def opening(self, step: Step, context: Context) -> Opening:
        """Return how the run begins. Only for a step without problems."""
