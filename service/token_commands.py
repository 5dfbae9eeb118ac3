"""`mentorgraph token`: tokens for programs and for people, made, listed and revoked.

They lie beside the ledger's chain, not in graph or index: these commands need only the database, and work while a service runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from kg.accounts import Accounts, Token

app = typer.Typer(help="Tokens: make one, list them, revoke one.", no_args_is_help=True)

Role = Literal["reader", "contributor", "curator", "manager", "administrator"]

Data = Annotated[
    Path | None,
    typer.Option("--data", help="Data folder; MENTORGRAPH_DATA, else ./data.", show_default=False, metavar="FOLDER"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

BY = "command line"


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The account that the ledger names, such as ilze.")],
    role: Annotated[Role, typer.Option(help="What the account is.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="Narrow the token to read, write, publish or import; repeatable. All that the role may unless given."
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=0, max=36_500, help="Days until it expires; 0 for never.")] = 365,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a token. It is shown once, here: keep it like a password."""
    from service.printing import print_json

    expires = datetime.now(UTC) + timedelta(days=days) if days else None
    with accounts(data) as kept:
        text, token = kept.create_token(name, role, scopes=scope or (), expires=expires, by=BY)
    if as_json:
        print_json({"token": text, **told(token)})
    else:
        print(text)
        until = f"until {expires:%Y-%m-%d}" if expires else "until it is revoked"
        typer.echo(f"A {role}'s token for {token.name}, {until}. It is not shown again.", err=True)


@app.command("list")
def list_tokens(data: Data = None, as_json: AsJson = False) -> None:
    """List all tokens; their secrets are not kept."""
    from service.printing import print_json, print_table

    with accounts(data) as kept:
        tokens = [told(token) for token in kept.list_tokens()]
    if as_json:
        print_json({"tokens": tokens})
        return
    rows = [
        (
            token["id"],
            f"{token['role']}/{token['name']}",
            " ".join(token["scopes"]) or "all",
            token["state"],
            (token["expires"] or "–")[:10],
            (token["last_used"] or "–")[:10],
        )
        for token in tokens
    ]
    print_table(["identifier", "account", "scopes", "state", "expires", "used"], rows)


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(help="Identifier of a token, as `mentorgraph token list` shows it.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a token worthless, at once and for good."""
    from service.printing import print_json

    with accounts(data) as kept:
        token = told(kept.revoke_token(id, by=BY))
    if as_json:
        print_json(token)
    else:
        print(f"The token {id} of {token['name']} is revoked since {token['revoked'][:10]}.")


@contextmanager
def accounts(data: Path | None) -> Iterator[Accounts]:
    """The tokens of a data folder, whoever owns it."""
    from kg.accounts import Accounts
    from kg.folder import DataFolder
    from kg.ledger import Ledger
    from service.cli import settings

    chosen = settings(data=data)
    address = chosen.ledger or f"sqlite:///{DataFolder.open(chosen.data).ledger}"
    with Ledger.open(address) as ledger, Accounts(ledger) as kept:
        yield kept


def told(token: Token) -> dict[str, Any]:
    """A token for JSON: times in UTC, scopes in their order; an empty list of scopes narrows nothing."""
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "scopes": sorted(token.scopes),
        "state": token.state(datetime.now(UTC)),
        "created": token.created.isoformat(timespec="seconds"),
        "created_by": token.created_by,
        "expires": token.expires and token.expires.isoformat(timespec="seconds"),
        "revoked": token.revoked and token.revoked.isoformat(timespec="seconds"),
        "revoked_by": token.revoked_by,
        "last_used": token.last_used and token.last_used.isoformat(timespec="seconds"),
    }
