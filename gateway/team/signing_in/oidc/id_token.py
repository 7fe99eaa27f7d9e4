"""Whether an ID token is what its provider says of somebody, to us, now (OpenID Connect Core 3.1.3.7). Pure: no I/O."""

import hmac
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from joserfc import jwk, jws, jwt
from joserfc.errors import JoseError

from gateway.team.signing_in.oidc.oidc_error import ProviderFails, SignInRefused

# Signatures by a private key. `none` is none, and an HMAC's key could be the public one that everybody has.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_LEEWAY = 60  # seconds by which two clocks may differ
_OLDEST = 600  # seconds since it was issued: it comes straight from the provider

_LONGEST_SUBJECT = 255  # OpenID Connect Core 2

PublicKey = jwk.RSAKey | jwk.ECKey | jwk.OKPKey


class UnknownKeyError(Exception):
    """The token names a key that is not among these: the provider may have new ones."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the token must say."""

    issuer: str
    client_id: str
    nonce: str


def keys_of(document: dict[str, Any]) -> tuple[PublicKey, ...]:
    """The public keys of a JWK Set that sign. Those of a kind unknown here are left out (RFC 7517 5)."""
    found = []
    listed = document.get("keys")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and one.get("kty") in _KINDS.values() and one.get("use", "sig") == "sig":
            with suppress(JoseError, ValueError, TypeError, KeyError):
                key = jwk.import_key(one)
                if isinstance(key, PublicKey):
                    found.append(key)
    if not found:
        raise ProviderFails("its JWK Set holds no key that signs")
    return tuple(found)


def checked_claims(text: str, keys: Iterable[PublicKey], expected: Expected) -> dict[str, Any]:
    """The claims of a token that is good. Raises SignInRefused, and UnknownKeyError."""
    try:
        header = jws.extract_compact(text.encode()).headers()
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise _refused("its algorithm is not one of ours")
        claims = jwt.decode(text, _key_for(header, keys), algorithms=[algorithm]).claims
        _registry(expected).validate(claims)
    except (JoseError, ValueError, TypeError) as error:
        raise _refused(f"it is not valid ({type(error).__name__})") from None
    _check_meant_for_us(claims, expected)
    if time.time() - claims["iat"] > _OLDEST + _LEEWAY:
        raise _refused("it was issued long ago")
    return claims


def _registry(expected: Expected) -> jwt.JWTClaimsRegistry:
    return jwt.JWTClaimsRegistry(
        leeway=_LEEWAY,
        iss={"essential": True, "value": expected.issuer},
        aud={"essential": True, "value": expected.client_id},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )


def _key_for(header: dict[str, Any], keys: Iterable[PublicKey]) -> PublicKey:
    kid, kind = header.get("kid"), _KINDS[header["alg"][:2]]
    of_kind = [key for key in keys if key.key_type == kind]
    if kid is None and len(of_kind) == 1:
        return of_kind[0]
    for key in of_kind:
        if kid is not None and key.get("kid") == kid:
            return key
    raise UnknownKeyError


def _check_meant_for_us(claims: dict[str, Any], expected: Expected) -> None:
    nonce, audience, party, subject = claims.get("nonce"), claims["aud"], claims.get("azp"), claims["sub"]
    if not isinstance(subject, str) or not 1 <= len(subject) <= _LONGEST_SUBJECT:
        raise _refused("its sub is none")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), expected.nonce.encode()):
        raise _refused("its nonce is another's, or missing")
    several = isinstance(audience, list) and len(audience) > 1
    if (several or party is not None) and party != expected.client_id:
        raise _refused("it was issued to another client (azp)")


def _refused(cause: str) -> SignInRefused:
    sentence = "What the provider said of you does not hold. Begin the sign-in again."
    return SignInRefused(sentence, f"the ID token is refused: {cause}")
