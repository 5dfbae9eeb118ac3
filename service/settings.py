"""What a deployment may set, each by an environment variable that begins with MENTORGRAPH_."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

if TYPE_CHECKING:
    from kg.search.port import Indexes

Role = Literal["reader", "contributor", "curator", "manager", "administrator"]


class Settings(BaseSettings):
    """Read from the environment; arguments win over it.

    The command line's options win over both.

    >>> Settings(port=9000).port
    9000
    """

    model_config = SettingsConfigDict(env_prefix="MENTORGRAPH_", extra="ignore", frozen=True)

    data: Path = Field(
        default=Path("data"),
        description="Data folder: ledger, graph, search index and prepared models. One process owns it at a time.",
    )
    ledger: str | None = Field(
        default=None,
        description="Where the ledger lies, as an SQLAlchemy URL (postgresql+psycopg://…); "
        "a SQLite file in the data folder unless set.",
    )
    graph: SecretStr | None = Field(
        default=None,
        description="Address for queries of a SPARQL 1.1 engine that holds the graph (docs/engines.md has one for each "
        "engine); a store in the data folder unless set.",
    )
    graph_credentials: SecretStr | None = Field(
        default=None,
        description="`user:password`, or a bearer token, for that engine; they may stand in its address instead.",
    )
    index: str | None = Field(
        default=None,
        description="Address of a Qdrant server or cluster that holds the search index (docs/engines.md); "
        "an index in the data folder unless set.",
    )
    index_api_key: SecretStr | None = Field(default=None, description="The API key for that server.")
    index_name: str = Field(
        default="mentorgraph",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$",
        description="Alias of the collection in use, and beginning of the names of collections; "
        "services that share a server need one each.",
    )
    index_shards: int = Field(default=1, ge=1, le=1000, description="Shards of a collection made from now on.")
    index_replicas: int = Field(
        default=1, ge=1, le=100, description="Copies of each shard of a collection made from now on."
    )
    index_write_consistency: int = Field(
        default=1, ge=1, le=100, description="Copies that must have taken a write before it counts."
    )
    index_read_consistency: int = Field(
        default=1, ge=1, le=100, description="Copies that are asked each question, and have to agree."
    )
    index_batch: int = Field(default=500, ge=1, le=10_000, description="Most passages sent in one request.")
    index_timeout_seconds: float = Field(
        default=30.0, ge=1, le=600, description="Longest wait for an answer of that server."
    )
    index_retries: int = Field(
        default=2, ge=0, le=10, description="How often a request that did not find that server is sent again."
    )
    base: str = Field(
        default="https://w3id.org/mentorgraph/",
        pattern=r"^https?://[^\s<>\"{}|\\^`#?]+/$",
        description="Base of the addresses of records, ending in a slash. Fixed when the ledger is made.",
    )
    second_person: bool = Field(
        default=True,
        description="Whether a record is published by somebody else than whoever wrote its newest wording; "
        "`false` for teams too small for that.",
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s<>\"{}|\\^`#?]+/$",
        description="Address under which readers reach the service, ending in a slash, for the addresses in descriptions; "
        "the address of each request unless set.",
    )
    publisher: str = Field(
        default="mentorgraph contributors",
        min_length=1,
        max_length=300,
        description="Who offers the data, as the descriptions of the dataset name it.",
    )
    check_sources: bool = Field(
        default=False,
        description="Whether the service may go out and look whether the sources of records are still there; only http "
        "and https to public addresses are asked.",
    )
    profiles: Path | None = Field(
        default=None,
        description="A TOML file with further profiles of constants for suggestions (docs/http.md); those built in "
        "alone unless set.",
    )
    host: str = Field(default="127.0.0.1", description="Address the service listens on; 0.0.0.0 for every interface.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port the service listens on; 0 takes a free one.")
    body_limit_bytes: int = Field(
        default=1_000_000, ge=1_000, description="Largest request body; a larger one is refused with status 413."
    )
    import_limit_bytes: int = Field(
        default=50_000_000,
        ge=1_000,
        description="Largest upload of an import, all its files together; a larger one is refused.",
    )
    searches_at_once: int = Field(
        default=4,
        ge=1,
        le=16,
        description="Suggestions, searches and exports computed at the same time; further requests wait.",
    )
    wait_seconds: float = Field(
        default=5.0, gt=0, le=60, description="Longest wait for a turn before the service says that it is busy (503)."
    )
    sparql_at_once: int = Field(
        default=4,
        ge=1,
        le=64,
        description="SPARQL queries answered at the same time, each in a process of its own; one client has one place "
        "fewer than there are.",
    )
    sparql_waiting: int = Field(default=50, ge=0, le=1000, description="SPARQL queries that may wait for a place.")
    sparql_wait_seconds: float = Field(
        default=10.0, gt=0, le=120, description="Longest wait of a SPARQL query before it is told to come back (503)."
    )
    sparql_deadline_seconds: float = Field(
        default=10.0, gt=0, le=3600, description="Longest run of a SPARQL query; then it is stopped (504)."
    )
    sparql_query_bytes: int = Field(
        default=100_000, ge=100, le=10_000_000, description="Longest SPARQL query; a longer one is refused (413)."
    )
    sparql_rows: int = Field(
        default=100_000,
        ge=1,
        description="Most rows, or triples, of an answer to SPARQL; one with more is refused (403), never cut.",
    )
    sparql_answer_bytes: int = Field(
        default=20_000_000, ge=1_000, description="Most bytes of an answer to SPARQL; a longer one is refused (403)."
    )
    sparql_memory_bytes: int = Field(
        default=500_000_000,
        ge=50_000_000,
        description="Memory a SPARQL query may use beyond the graph itself; one that needs more is stopped (504).",
    )
    sparql_graph_bytes: int = Field(
        default=1_000_000_000,
        ge=0,
        description="Memory the graph may take to answer SPARQL from; a larger one is answered from snapshots on disk, "
        "more slowly, and up to a second behind. 0: always from disk.",
    )

    oidc_issuer: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s<>\"{}|\\^`#?]+$",
        description="Address of the OpenID Connect provider where people log in, exactly as it calls itself; "
        "only tokens are taken unless set (docs/access.md).",
    )
    oidc_client_id: str | None = Field(
        default=None,
        validate_default=True,
        description="The identifier under which the provider knows this service.",
    )
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="The secret that goes with it; a client without one is told apart by PKCE alone."
    )
    oidc_scope: str = Field(
        default="openid profile",
        pattern=r"^openid( [!#-\[\]-~]+)*$",
        description="What the provider is asked for; `openid`, and what makes it tell the claims below.",
    )
    oidc_name_claim: str = Field(
        default="sub",
        min_length=1,
        max_length=200,
        description="The claim that names the account in the ledger. It must be unique and stay with the person for good.",
    )
    oidc_role_claim: str = Field(
        default="roles",
        min_length=1,
        max_length=200,
        description="The claim with somebody's roles or groups; a path with dots (`realm_access.roles`) leads into it.",
    )
    oidc_roles: Annotated[dict[str, Role], NoDecode] = Field(
        default_factory=dict,
        description='Which value of that claim gives which role, such as `{"editors": "curator"}`; anybody else is a reader.',
    )
    session_hours: float = Field(
        default=8.0, gt=0, le=168, description="How long somebody who logged in stays so; roles are asked for at login."
    )
    session_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="Secret that signs sessions, the same on every machine of a service; made in the data folder unless set.",
    )

    @field_validator("oidc_client_id")
    @classmethod
    def _client_of_issuer(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("oidc_issuer") is not None:
            raise ValueError("it goes with MENTORGRAPH_OIDC_ISSUER: set both")
        return value

    @field_validator("oidc_roles", mode="before")
    @classmethod
    def _roles_of_json(cls, value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError('write a JSON object, such as {"editors": "curator"}') from error

    @property
    def indexes(self) -> Indexes:
        """Where search indexes lie, as `Catalogue.open` takes it.

        >>> Settings(index="https://qdrant.internal:6333", index_replicas=3).indexes
        QdrantServer(url='https://qdrant.internal:6333', name='mentorgraph', shards=1, replicas=3, ...)
        """
        if not self.index:
            from kg.search.index import IN_PROCESS

            return IN_PROCESS
        from kg.search.qdrant_server import QdrantServer

        return QdrantServer(
            self.index,
            api_key=self.index_api_key.get_secret_value() if self.index_api_key else None,
            name=self.index_name,
            shards=self.index_shards,
            replicas=self.index_replicas,
            write_consistency=self.index_write_consistency,
            read_consistency=self.index_read_consistency,
            batch=self.index_batch,
            timeout_seconds=self.index_timeout_seconds,
            retries=self.index_retries,
        )

    @property
    def graph_url(self) -> str | None:
        """The engine's address with its credentials in it, as `Catalogue.open` takes it.

        >>> Settings(graph="https://host/query", graph_credentials="ilze:p@ss/word").graph_url
        'https://ilze:p%40ss%2Fword@host/query'
        """
        if self.graph is None:
            return None
        address = self.graph.get_secret_value()
        if self.graph_credentials is None:
            return address
        scheme, _, rest = address.partition("://")
        host, slash, path = rest.partition("/")
        user, colon, password = self.graph_credentials.get_secret_value().partition(":")
        return (
            f"{scheme}://{quote(user, safe='')}{colon}{quote(password, safe='')}@{host.rpartition('@')[2]}{slash}{path}"
        )
