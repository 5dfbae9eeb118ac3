"""What those who work on records are answered: saved records, history, conversation, hints, flags and work lists."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class Answered(BaseModel):
    """What this service answers: no more keys than described."""

    model_config = ConfigDict(extra="forbid")


class Fault(Answered):
    """One broken rule."""

    field: str
    message: str
    severity: str
    value: str | None = None


class SavedRecord(Answered):
    """What a change wrote; `missing` has every rule that publication would still break."""

    kind: str
    id: str
    iri: str
    revision: int = Field(description="To be named in the next If-Match.")
    state: str
    visibility: str
    changed: bool = Field(description="False where the record said the same already and nothing was written.")
    missing: list[Fault]


class Decision(Answered):
    """What became of a value when two records were united, where it could not simply be carried over."""

    field: str
    how: Literal["joined", "noted", "self", "lost"]
    kept: Any = None
    other: Any = None
    text: str


class MergedRecord(SavedRecord):
    """The record that stays, and what was decided."""

    decisions: list[Decision]


class Checked(Answered):
    """What a record still breaks, and what could be done with it as it is."""

    problems: list[Fault]
    can_be_saved: bool
    can_be_published: bool


class RevisionEntry(Answered):
    """One revision. What is empty is absent."""

    revision: int
    state: str
    visibility: str
    author: str = Field(description="`role/account` for those who work on the record, the role alone for readers.")
    time: AwareDatetime
    note: str = ""
    reason: str = ""
    replaced_by: str = ""


class Revisions(Answered):
    """The newest first."""

    revisions: list[RevisionEntry]


class Blame(Answered):
    """By dotted place, the revision that last changed it."""

    fields: dict[str, RevisionEntry]


class FieldDifference(Answered):
    """One field that changed; null stands for what is not there."""

    field: str
    label: str
    before: Any = None
    after: Any = None
    text: str = Field(description="In a sentence, in the language of the answer.")


class RevisionDifference(Answered):
    """What changed between two revisions."""

    before: int
    after: int
    differences: list[FieldDifference]


class CommentSaid(Answered):
    """What somebody said about a record, or about one of its fields."""

    number: int
    field: str | None
    field_gone: bool = Field(description="The newest revision no longer has the field or part that this was said of.")
    revision: int
    author: str
    time: AwareDatetime
    text: str
    resolved_by: str | None
    resolved: AwareDatetime | None


class Comments(Answered):
    """The oldest first."""

    comments: list[CommentSaid]


class WaitsFor(Answered):
    """Who takes the next step: accounts where they are known, and a role; `not` may not publish."""

    accounts: list[str]
    role: str
    not_: str | None = Field(alias="not")


class WaitingRecord(Answered):
    """A record that is not finished."""

    kind: str
    id: str
    title: str
    state: str
    since: AwareDatetime
    revision: int
    waits_for: WaitsFor


class WaitingRecords(Answered):
    """One page of them."""

    results: list[WaitingRecord]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class ReviewerHint(Answered):
    """What is odd about an account that is asked to review."""

    account: str
    message: str


class AskedReviewers(Answered):
    """Accounts that are asked to review now, with hints on those that are not known or could not publish the record."""

    accounts: list[str]
    hints: list[ReviewerHint]


class DuplicateHint(Answered):
    """A practice that may be the one being written."""

    id: str
    title: str
    state: str
    score: float = Field(description="Mean of the known parts, in [0, 1].")
    band: Literal["likely", "possible"]
    parts: dict[str, float]
    reason: str


class ThemeHint(Answered):
    """A theme that the text speaks of."""

    id: str
    label: str
    strength: float
    words: list[str] = Field(description="The words of the text that led there.")
    chosen: bool = Field(description="The record has it already.")
    reason: str


class CityHint(Answered):
    """A city that the text names."""

    id: str
    label: str
    country: str
    country_label: str
    words: str
    field: str
    ambiguous: bool = Field(description="Other cities have the same name.")
    chosen: bool
    reason: str


class FieldHint(Answered):
    """A field that similar good records have and this one lacks."""

    field: str
    label: str
    help: str
    share: float = Field(description="Of the records compared, in [0, 1].")
    examples: list[str]
    reason: str


class HintsFound(Answered):
    """Each list best first."""

    language: str = Field(description="That the text was read as; `und` where it is too short to tell.")
    duplicates: list[DuplicateHint]
    themes: list[ThemeHint]
    cities: list[CityHint]
    fields: list[FieldHint]


class QualityMeasure(Answered):
    """One figure with its reasons; null where it is not known."""

    name: str
    value: float | None
    unit: Literal["share", "months", "count"]
    known: bool
    reasons: list[str]


class RecordQuality(Answered):
    """How good a record is."""

    kind: str
    id: str
    missing: list[str] = Field(description="Fields asked for and absent, the most needed first.")
    measures: list[QualityMeasure]


class LookAtSource(Answered):
    """What an address answered."""

    url: str
    said: str
    status: int | None
    detail: str
    time: AwareDatetime


class LooksAtSources(Answered):
    """Those that were due."""

    looked_up: list[LookAtSource]


class FlagSide(Answered):
    """One of two claims."""

    kind: str
    id: str
    node: str | None
    values: dict[str, str]
    statement: str | None
    sources: list[str]


class FlagAnswered(Answered):
    """What a curator said of it."""

    verdict: str
    note: str
    role: str
    time: AwareDatetime


class ClaimFlag(Answered):
    """Two claims that contradict each other."""

    key: str
    what: str
    reason: str
    differs: list[str]
    named: bool = Field(description="The record itself says that they are rivals.")
    claims: list[FlagSide]
    state: Literal["open", "answered", "reopened"]
    answer: FlagAnswered | None


class ClaimFlags(Answered):
    """The answered ones too."""

    flags: list[ClaimFlag]


class WorklistName(Answered):
    name: str
    path: str


class WorklistNames(Answered):
    """What curators may mend next."""

    worklists: list[WorklistName]


class WorklistEntry(Answered):
    """A record to look at, and why."""

    kind: str
    id: str
    title: str
    state: str
    reason: str
    details: dict[str, Any] = Field(description="For programs, in the list's own form.")


class WorklistPage(Answered):
    """Records by identifier."""

    name: str
    kind: str
    language: str
    results: list[WorklistEntry]
    next: str | None = Field(description="Cursor of the next page; null on the last.")
    walked: int = Field(description="How many records were looked at for this page.")


class ImportProgress(Answered):
    doing: str
    done: int
    total: int


class ImportJob(Answered):
    """One import: what was sent and by whom, how it is to be done, and how far it is."""

    id: str
    author: str
    created: AwareDatetime
    files: list[str]
    options: dict[str, Any]
    mapping: str | None
    state: Literal["checked", "applying", "stopped", "done"]
    counts: dict[str, int] = Field(description="Of the last report, by outcome.")
    written: int
    progress: ImportProgress | None = Field(description="Null while nothing is being written.")
    error: dict[str, Any] | None = Field(default=None, description="Problem document; absent where it went on.")


class ImportList(Answered):
    """The newest first."""

    imports: list[ImportJob]


class RowDifference(Answered):
    field: str
    label: str
    before: Any = None
    after: Any = None


class RowDuplicate(Answered):
    id: str
    title: str
    likeness: int
    reason: str


class ImportRow(Answered):
    """What became, or would become, of one record of a file."""

    place: str
    kind: str
    id: str
    title: str
    outcome: Literal["new", "changed", "unchanged", "refused"]
    state: str
    differences: list[RowDifference]
    problems: list[Fault]
    missing: list[Fault]
    duplicates: list[RowDuplicate]
    notes: list[str]


class ImportRows(Answered):
    """The whole report of an import."""

    new: int
    changed: int
    unchanged: int
    refused: int
    skipped: dict[str, int]
    not_used: dict[str, str]
    unknown_columns: list[str]
    ignored: list[str]
    files: list[dict[str, Any]]
    attribution: str
    dry_run: bool
    stopped: bool
    written: int
    rows: list[ImportRow]


class ImportStarted(Answered):
    """The job, and what applying it would do."""

    import_: ImportJob = Field(alias="import")
    report: ImportRows
