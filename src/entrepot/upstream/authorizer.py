"""Which Authorization an endpoint is sent: as its challenges ask, and only where credentials may go."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from entrepot.errors import EntrepotError, RateLimited, Refused, UpstreamDown
from entrepot.oci.challenge import Challenge, parse_challenges
from entrepot.policy.access import may_send_credential
from entrepot.telemetry.log import log
from entrepot.upstream.credentials import CredentialSource
from entrepot.upstream.endpoint import Endpoint
from entrepot.upstream.standing import Standing
from entrepot.upstream.tokens import Tokens, TokenWish

__all__ = ["Authorizer", "UserWanted"]

_NAME = "\0"  # Stands for the repository in what was learnt; no header can hold it.


class UserWanted(Refused):
    """The endpoint asks for a user and a password of its own, and none are configured."""


class _Basic(Struct, frozen=True):
    """The endpoint wants a user and a password itself."""


class _Bearer(Struct, frozen=True):
    """The endpoint wants a token; realm and scope have ``_NAME`` in place of the repository."""

    realm: str
    service: str
    scope: str


class Authorizer:
    """Expects of an endpoint for every repository the challenge that it made for one.

    This saves the first pull of each repository a request that would be refused.
    """

    def __init__(
        self,
        tokens: Tokens,
        credentials: CredentialSource,
        token_hosts: tuple[str, ...],
        standing: Standing,
    ) -> None:
        self._tokens = tokens
        self._credentials = credentials
        self._token_hosts = token_hosts
        self._standing = standing
        self._learnt: dict[str, _Basic | _Bearer] = {}
        self._learnt_of_registry: dict[str, _Bearer] = {}
        """What is wanted where no repository is meant, as for the catalogue: its scope is another."""
        self._warned_of = ""

    async def header(self, endpoint: Endpoint, name: str, rejected: str | None = None) -> str | None:
        """Return the Authorization for repository ``name``, ``None`` while none is known to be wanted.

        ``rejected`` is one that the endpoint took no more.  Raises ``Refused`` when there is no
        other, and all that fetching a token may.
        """
        match self._wanted(endpoint, name):
            case None:
                return None
            case _Basic():
                return await self._basic(endpoint, rejected)
            case _Bearer() as bearer:
                return await self._bearer(endpoint, bearer, name, rejected)

    async def expected(self, endpoint: Endpoint, name: str) -> str | None:
        """Return the Authorization that is likely to be wanted, ``None`` where none is to be had.

        What one repository wants the next may not: only a challenge of its own may refuse it.
        """
        try:
            return await self.header(endpoint, name)
        except (Refused, RateLimited, UpstreamDown):
            return None

    def learn(self, endpoint: Endpoint, name: str, www_authenticate: str) -> None:
        """Keep what a 401 of the endpoint asks for; raise ``Refused`` when it is nothing known here."""
        challenges = [_absolute(challenge, endpoint) for challenge in parse_challenges([www_authenticate])]
        bearer = next(filter(_wants_token, challenges), None)
        if bearer is not None:
            learnt = self._learnt if name else self._learnt_of_registry
            learnt[endpoint.url] = _bearer(bearer, name)
        elif any(challenge.scheme == "basic" for challenge in challenges):
            self._learnt[endpoint.url] = _Basic()
        else:
            raise Refused(f"{endpoint.host} answered 401 and asks for neither Basic nor Bearer")

    def accepted(self, endpoint: Endpoint, authorization: str | None) -> None:
        """Note that a user and password are good; of those behind a token its service has told."""
        if authorization is not None and isinstance(self._learnt.get(endpoint.url), _Basic):
            self._standing.accepted()

    def refused(self, endpoint: Endpoint, authorization: str | None, failure: EntrepotError) -> None:
        """Note that a user and password are not, if they were sent."""
        if authorization is not None and isinstance(self._learnt.get(endpoint.url), _Basic):
            self._standing.refused(str(failure))

    def _wanted(self, endpoint: Endpoint, name: str) -> _Basic | _Bearer | None:
        learnt = self._learnt.get(endpoint.url)
        return learnt if name or isinstance(learnt, _Basic) else self._learnt_of_registry.get(endpoint.url)

    async def _basic(self, endpoint: Endpoint, rejected: str | None) -> str:
        credential = await self._credentials.current()
        if credential is None or credential.is_identity_token:
            raise UserWanted(f"{endpoint.host} asks for a user; set username and password of this upstream")
        header = credential.basic()
        if header == rejected:
            refusal = f"{endpoint.host} refused the credential of {credential.username}"
            self._standing.refused(refusal)
            raise Refused(refusal)
        return header

    async def _bearer(self, endpoint: Endpoint, bearer: _Bearer, name: str, rejected: str | None) -> str:
        credential = await self._credentials.current()
        realm = bearer.realm.replace(_NAME, name)
        is_sent = credential is None or may_send_credential(endpoint.url, realm, self._token_hosts)
        scope = bearer.scope.replace(_NAME, name)
        wish = TokenWish(realm, bearer.service, scope, credential if is_sent else None)
        if not is_sent:
            self._warn(endpoint, wish.host)
        try:
            token = await self._tokens.get(wish, rejected and rejected.removeprefix("Bearer "))
        except Refused as refused:
            if credential is not None and is_sent:
                self._standing.refused(str(refused))
            if is_sent:
                raise
            advice = f"or add {wish.host} to token_hosts, as the credential was not sent there"
            raise Refused(f"{refused}; {advice}") from refused
        if credential is not None and is_sent:
            self._standing.accepted()
        return f"Bearer {token}"

    def _warn(self, endpoint: Endpoint, host: str) -> None:
        if host != self._warned_of:
            self._warned_of = host
            log.warning(
                "credential_withheld",
                endpoint=endpoint.url,
                token_host=host,
                advice="add it to token_hosts",
            )


def _absolute(challenge: Challenge, endpoint: Endpoint) -> Challenge:
    """Resolve a realm that names no host, as registries behind a proxy may not know theirs."""
    realm = challenge.parameters.get("realm", "")
    if challenge.scheme != "bearer" or not realm.startswith("/"):
        return challenge
    return replace(challenge, parameters={**challenge.parameters, "realm": urljoin(endpoint.url, realm)})


def _wants_token(challenge: Challenge) -> bool:
    try:
        realm = urlsplit(challenge.parameters.get("realm", ""))
    except ValueError:
        return False
    return challenge.scheme == "bearer" and realm.scheme in {"https", "http"} and bool(realm.netloc)


def _bearer(challenge: Challenge, name: str) -> _Bearer:
    """Make a template of a challenge; a realm may carry the scope in its query, as nvcr.io's does."""
    parameters = challenge.parameters
    path, mark, query = parameters["realm"].partition("?")
    place, stand_in = f":{name}:", f":{_NAME}:"
    return _Bearer(
        path + mark + query.replace(place, stand_in),
        parameters.get("service", ""),
        parameters.get("scope", "").replace(place, stand_in),
    )
