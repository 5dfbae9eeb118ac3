"""Who may do what to which record: the roles of people, the state a record is in, and whose draft it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kg.accounts import Actor
from kg.errors import Gone, KgError, NotAllowed, NotAuthenticated, in_french, quoted
from kg.fields import Kind, declaration
from kg.ledger import Head, Ledger, Revision

OPEN = ("draft", "submitted", "returned")
"""States of a record that somebody is still working on."""

GONE = ("withdrawn", "merged")

_STEPS = {
    "publish": "publier",
    "return": "renvoyer",
    "withdraw": "retirer",
    "merge": "fusionner",
    "undo": "rétablir",
    "assign": "attribuer",
}
"""What only keepers may do, in French."""


class Rights:
    """Answers who may see and do what; every refusal is NotAuthenticated, NotAllowed or NotFound with what to do.

    `not_found` makes the error for a record that is not there: one that this actor must not know of gets the same.
    With `second_person`, whoever wrote the newest wording of a record does not publish it.

    >>> keeps(Actor("anna", "manager"), "mentorship"), keeps(Actor("anna", "manager"), "practice")
    (True, False)
    """

    def __init__(self, ledger: Ledger, not_found: Callable[[str, str], KgError]) -> None:
        self._ledger, self.not_found, self.second_person = ledger, not_found, True

    def may_see(self, actor: Actor, head: Head) -> bool:
        """Whether an actor sees the drafts of a record and what is not for everybody."""
        if not actor.may("read"):
            return False
        if self.sees_all(actor):
            return True
        return actor.role == "contributor" and head.state in OPEN and self.owner(head.kind, head.id) == actor.name

    @staticmethod
    def sees_all(actor: Actor) -> bool:
        """Whether an actor sees every record, whatever its state and visibility."""
        return actor.may("read") and actor.role in ("curator", "manager", "administrator")

    def visible_head(self, kind: str, id: str, actor: Actor) -> Head:
        """The head of a record that this actor may know of; NotFound otherwise."""
        head = self._ledger.head(declaration().kind(kind).name, id)
        if head is None or not (self.may_see(actor, head) or head.published_visibility == "public"):
            raise self.not_found(declaration().kind(kind).name, id)
        return head

    def owner(self, kind: str, id: str, history: Sequence[Revision] | None = None) -> str | None:
        """The account that began the open draft of a record; None where there is none.

        A link that is rewritten in the published version and in the draft beside it leaves the draft with its author.
        """
        rows = list(history if history is not None else self._ledger.history(kind, id))
        begun = None
        for one, after in zip(rows, [*rows[1:], None], strict=True):
            if one.state in OPEN:
                begun = begun or name_of(one.author)
            elif after is None or not _one_step(one, after):
                begun = None
        return begun

    def last_writer(self, kind: str, id: str) -> str:
        """The account whose wording is the newest; who shall see it is part of that."""
        writer, before = "", None
        for one in self._ledger.history(kind, id):
            if (one.payload_digest, one.visibility) != before:
                writer, before = name_of(one.author), (one.payload_digest, one.visibility)
        return writer

    @staticmethod
    def require_account(actor: Actor) -> None:
        if actor.role == "reader":
            raise NotAuthenticated(
                {
                    "en": "this needs an account: send a token made by `mentorgraph token create`, or log in",
                    "fr": "il faut un compte : envoyez un jeton créé par `mentorgraph token create`, ou connectez-vous",
                }
            )

    def require_write(self, actor: Actor, kind: Kind, head: Head | None) -> None:
        """Keepers write every record of a kind; a contributor new ones and drafts of its own."""
        self.require_account(actor)
        require_scope(actor, "write")
        if keeps(actor, kind.name) or head is None:
            return
        if head.state in OPEN and self.owner(kind.name, head.id) != actor.name:
            raise NotAllowed(
                {
                    "en": f"{kind.name} {quoted(head.id)} is being written by somebody else; comment on it instead",
                    "fr": f"{in_french(kind.name)} {quoted(head.id)} est en cours de rédaction par quelqu’un d’autre ; commentez plutôt la fiche",
                }
            )
        if head.state == "submitted":
            raise NotAllowed(
                {
                    "en": f"{kind.name} {quoted(head.id)} is under review; ask for it to be returned",
                    "fr": f"{in_french(kind.name)} {quoted(head.id)} est en relecture ; demandez que la fiche soit renvoyée",
                }
            )
        if head.state in GONE:
            raise NotAllowed(
                {
                    "en": f"{kind.name} {quoted(head.id)} was withdrawn; a {kind.keeper} can bring it back",
                    "fr": f"la fiche {in_french(kind.name)} {quoted(head.id)} a été retirée ; un compte « {kind.keeper} » peut la rétablir",
                }
            )

    def require_keeper(self, actor: Actor, kind: Kind, what: str) -> None:
        self.require_account(actor)
        if not keeps(actor, kind.name):
            raise NotAllowed(
                {
                    "en": f"a {actor.role} may not {what} a {kind.name}: ask a {kind.keeper}",
                    "fr": f"un compte « {actor.role} » ne peut pas {_STEPS[what]} une fiche « {in_french(kind.name)} » : demandez à un compte « {kind.keeper} »",
                }
            )
        require_scope(actor, "publish")

    def require_redirect(self, actor: Actor, head: Head) -> None:
        """Whether an actor may let a record refer to another one than before, in the state it is in."""
        own = head.published is None and head.state in OPEN and self.owner(head.kind, head.id) == actor.name
        if not (own or keeps(actor, head.kind)):
            keeper = declaration().kind(head.kind).keeper
            raise NotAllowed(
                {
                    "en": f"{head.kind} {quoted(head.id)} refers to it and would change too: ask a {keeper}",
                    "fr": f"{in_french(head.kind)} {quoted(head.id)} y renvoie et changerait aussi : demandez à un compte « {keeper} »",
                }
            )

    def require_publish(self, actor: Actor, kind: Kind, writer: str | None) -> None:
        """Whether an actor may publish a wording by `writer` (None: seen by two people already)."""
        self.require_keeper(actor, kind, "publish")
        if self.second_person and writer == actor.name:
            raise NotAllowed(
                {
                    "en": f"a second person publishes: save this as a draft, submit it, and ask another {kind.keeper} "
                    "(MENTORGRAPH_SECOND_PERSON=false lets small teams do without)",
                    "fr": "une seconde personne publie : enregistrez un brouillon, soumettez-le, et demandez à un autre "
                    f"compte « {kind.keeper} » (MENTORGRAPH_SECOND_PERSON=false en dispense les petites équipes)",
                }
            )


def name_of(author: str) -> str:
    """The account in an author's entry of the ledger.

    >>> name_of("curator/anna"), name_of("start data")
    ('anna', 'start data')
    """
    role, slash, name = author.partition("/")
    return name if slash else role


def keeps(actor: Actor, kind: str) -> bool:
    """Whether an actor reviews and publishes records of a kind."""
    if actor.role in ("curator", "administrator"):
        return True
    return actor.role == "manager" and declaration().kind(kind).keeper == "manager"


def _one_step(one: Revision, after: Revision) -> bool:
    """Whether two rows of a record rewrote a link at once: in the published version, and in the draft beside it."""
    together = (after.number, after.author, after.note) == (one.number + 1, one.author, one.note)
    return together and bool(one.note) and one.state == "published" and after.state in OPEN


def require_visibility(actor: Actor, kind: Kind) -> None:
    """Refuse an actor who may not decide who sees a kind's records."""
    if not keeps(actor, kind.name):
        raise NotAllowed(
            {
                "en": f"who sees a {kind.name} is decided by its {kind.keeper}, not by a {actor.role}",
                "fr": f"qui voit une fiche « {in_french(kind.name)} » se décide par un compte « {kind.keeper} », non « {actor.role} »",
            }
        )


def require_scope(actor: Actor, scope: str) -> None:
    """Refuse an actor whose role or token is not meant for this sort of thing."""
    if not actor.may(scope):
        raise NotAllowed(
            {
                "en": f"this token may not {scope}; it may {', '.join(sorted(actor.allowed)) or 'nothing'}",
                "fr": f"ce jeton ne permet pas « {scope} » ; il permet : {', '.join(sorted(actor.allowed)) or 'rien'}",
            }
        )


def tombstone(head: Head, *, insider: bool = False) -> Gone:
    """The error for a record that readers no longer see; why it went is theirs to know where it was public then."""
    if insider or head.visibility == "public":
        return Gone(head.kind, head.id, head.reason, head.replaced_by, head.number)
    reason = {"en": "it is no longer for everybody", "fr": "il n’est plus accessible à tout le monde"}
    return Gone(head.kind, head.id, reason, revision=head.number)


def was_for_all(revision: Revision) -> bool:
    """Whether everybody could read this revision while it was the published one."""
    return revision.state == "published" and revision.visibility == "public"
