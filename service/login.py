"""Login by OpenID Connect: an organisation's own provider says who somebody is, and a claim of it which role they have.

Authorization code flow with PKCE, state and nonce, done by Authlib, which is loaded at the first login.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fastapi import Request

from kg.accounts import ANONYMOUS, ROLES, Actor, name_fault
from kg.errors import NotAllowed, NotAuthenticated, ProviderUnreachable, quoted

if TYPE_CHECKING:
    from service.settings import Settings

log = logging.getLogger("mentorgraph.service")

TIMEOUT_SECONDS = 10.0

SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key that only the provider has. What it may offer besides ("none", HMAC) is not accepted."""

AGAIN = {"en": "start again at /login", "fr": "recommencez à /login"}


class Provider:
    """The OpenID Connect provider of a deployment. Nothing is asked of it before somebody logs in."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def begin(self, request: Request, return_address: str) -> str:
        """Where to send the browser. What has to be known when it comes back is left in `request.session`.

        Raises ProviderUnreachable.
        """
        with _failures_named():
            await self._checked_metadata()
            answer = await self._client.authorize_redirect(request, return_address)
        return str(answer.headers["location"])

    async def finish(self, request: Request) -> Actor:
        """Who came back, with the role that the claim gives: reader where it gives none.

        Raises NotAuthenticated when the answer does not fit what `begin` left or the provider does not vouch for it,
        NotAllowed when the name claim cannot name an account, ProviderUnreachable.
        """
        with _failures_named():
            issuer = (await self._checked_metadata())["issuer"]
            token = await self._client.authorize_access_token(
                request,
                claims_options={
                    "iss": {"essential": True, "value": issuer},
                    "aud": {"essential": True, "value": self._settings.oidc_client_id},
                },
            )
            claims = token.get("userinfo")
            if claims is None:
                raise NotAuthenticated(
                    {
                        "en": f"the login provider did not say who you are; {AGAIN['en']}",
                        "fr": f"le fournisseur d’identité n’a pas dit qui vous êtes ; {AGAIN['fr']}",
                    }
                )
            claims = await self._with_more_claims(dict(claims), token)
        return actor_of_claims(claims, self._settings)

    @cached_property
    def _client(self) -> Any:
        from authlib.integrations.starlette_client import OAuth

        given, secret = self._settings, self._settings.oidc_client_secret
        assert given.oidc_issuer is not None
        return OAuth().register(
            "provider",
            server_metadata_url=given.oidc_issuer.rstrip("/") + "/.well-known/openid-configuration",
            client_id=given.oidc_client_id,
            client_secret=secret.get_secret_value() if secret else None,
            client_kwargs={"scope": given.oidc_scope, "code_challenge_method": "S256", "timeout": TIMEOUT_SECONDS},
        )

    async def _checked_metadata(self) -> Mapping[str, Any]:
        """What the provider publishes of itself; kept once it was read, asked for again as long as it was not."""
        metadata: dict[str, Any] = await self._client.load_server_metadata()
        if metadata.get("issuer") != self._settings.oidc_issuer:
            metadata.pop("_loaded_at", None)
            found = quoted(metadata.get("issuer"), 200)
            log.warning("MENTORGRAPH_OIDC_ISSUER is not what the provider calls itself: %s", found)
            raise ProviderUnreachable(
                {
                    "en": "the login provider is not the one that this service is set up for",
                    "fr": "le fournisseur d’identité n’est pas celui pour lequel ce service est réglé",
                }
            )
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [one for one in offered if one in SIGNATURES]
        return metadata

    async def _with_more_claims(self, claims: dict[str, Any], token: Mapping[str, Any]) -> dict[str, Any]:
        """Claims that only the userinfo endpoint tells. They count if they are of the same person."""
        wanted = (self._settings.oidc_name_claim, self._settings.oidc_role_claim)
        missing = any(claim_value(claims, name) is None for name in wanted)
        if not missing or "userinfo_endpoint" not in self._client.server_metadata:
            return claims
        more = await self._client.userinfo(token=token)
        if more.get("sub") != claims["sub"]:
            raise NotAuthenticated(
                {
                    "en": f"the login provider told of two different people; {AGAIN['en']}",
                    "fr": f"le fournisseur d’identité a désigné deux personnes différentes ; {AGAIN['fr']}",
                }
            )
        return {**more, **claims}


@contextmanager
def _failures_named() -> Iterator[None]:
    """Authlib's errors as ours. What a provider writes is logged, quoted, and not repeated to the browser."""
    from authlib.integrations.base_client import OAuthError
    from httpx2 import HTTPError, InvalidURL
    from joserfc.errors import JoseError

    try:
        yield
    except (OAuthError, JoseError) as error:
        log.warning("a login was refused: %s", quoted(error, 300))
        raise NotAuthenticated(
            {
                "en": f"the login did not come to its end; {AGAIN['en']}",
                "fr": f"la connexion n’est pas allée à son terme ; {AGAIN['fr']}",
            }
        ) from error
    except (HTTPError, InvalidURL, ValueError, TypeError, KeyError, RuntimeError) as error:
        log.warning("the login provider failed: %s: %s", type(error).__name__, quoted(error, 300))
        raise ProviderUnreachable(
            {
                "en": "the login provider does not answer as it should; try again later",
                "fr": "le fournisseur d’identité ne répond pas comme il le devrait ; réessayez plus tard",
            }
        ) from error


def actor_of_claims(claims: Mapping[str, Any], settings: Settings) -> Actor:
    """The actor that a provider's claims make, by the settings.

    >>> from service.settings import Settings
    >>> given = Settings(oidc_role_claim="realm.groups", oidc_roles='{"editors": "curator", "staff": "contributor"}')
    >>> actor_of_claims({"sub": "ilze", "realm": {"groups": ["staff", "editors", "x"]}}, given).author
    'curator/ilze'
    >>> actor_of_claims({"sub": "ilze"}, given).role
    'reader'
    """
    name = claim_value(claims, settings.oidc_name_claim)
    fault = "it is missing" if not isinstance(name, str) else name_fault(name := unicodedata.normalize("NFC", name))
    if fault is None and isinstance(name, str) and name.casefold() == ANONYMOUS:
        fault = "it stands for nobody in particular"
    if fault is not None or not isinstance(name, str):
        raise NotAllowed(f"the claim {quoted(settings.oidc_name_claim)} of the login provider is of no use: {fault}")
    said = claim_value(claims, settings.oidc_role_claim)
    values = [one for one in (said if isinstance(said, list) else [said]) if isinstance(one, str)]
    roles = [settings.oidc_roles[one] for one in values if one in settings.oidc_roles]
    return Actor(name, max(roles, key=ROLES.index, default="reader"))


def claim_value(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name or, where there is none of this name, by a path with dots; None where there is neither.

    >>> claim_value({"realm_access": {"roles": ["a"]}}, "realm_access.roles"), claim_value({"x.y/z": 1}, "x.y/z")
    (['a'], 1)
    """
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
