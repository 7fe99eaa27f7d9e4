"""ID tokens and attempts by themselves: what is refused, and that one good thing is not."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwk

from gateway.team.signing_in.oidc.attempt import Attempt, attempt_of
from gateway.team.signing_in.oidc.id_token import Expected, UnknownKeyError, checked_claims, keys_of
from gateway.team.signing_in.oidc.oidc_error import ProviderFails, SignInRefused
from tests.harness.pages.scripted_provider import CLIENT_ID, CLIENT_SECRET, ScriptedProvider

HOUR = 3600
ISSUER, NONCE = "https://id.example.org", "n" * 43
EXPECTED = Expected(ISSUER, CLIENT_ID, NONCE)


@pytest.fixture
def provider() -> ScriptedProvider:
    found = ScriptedProvider()
    found.issuer = ISSUER
    return found


def claims_of(provider: ScriptedProvider) -> dict[str, Any]:
    return checked_claims(provider.id_token(NONCE), keys_of(provider.key_set), EXPECTED)


WRONG_CLAIMS: dict[str, Callable[[], dict[str, Any]]] = {
    "another issuer": lambda: {"iss": "https://evil.example"},
    "no issuer": lambda: {"iss": None},
    "another audience": lambda: {"aud": "another client"},
    "no audience": lambda: {"aud": None},
    "several audiences and no party": lambda: {"aud": [CLIENT_ID, "another client"]},
    "another party": lambda: {"azp": "another client"},
    "another nonce": lambda: {"nonce": "0" * 43},
    "no nonce": lambda: {"nonce": None},
    "a list of nonces": lambda: {"nonce": ["0" * 43]},
    "an end long ago": lambda: {"exp": int(time.time()) - HOUR},
    "no end": lambda: {"exp": None},
    "a beginning long ago": lambda: {"iat": int(time.time()) - HOUR},
    "a beginning to come": lambda: {"iat": int(time.time()) + HOUR},
    "no beginning": lambda: {"iat": None},
    "a beginning that is a word": lambda: {"iat": "now"},
    "no subject": lambda: {"sub": None},
    "a long subject": lambda: {"sub": "s" * 256},
    "a subject that is a number": lambda: {"sub": 7},
}


@pytest.mark.parametrize("claims", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS)
def test_claims_that_are_not_as_expected_are_refused(
    claims: Callable[[], dict[str, Any]], provider: ScriptedProvider
) -> None:
    assert claims_of(provider)["sub"] == "ada"
    provider.tampered = claims()
    with pytest.raises(SignInRefused):
        claims_of(provider)


def test_several_audiences_are_good_for_the_party_among_them(provider: ScriptedProvider) -> None:
    provider.tampered = {"aud": [CLIENT_ID, "another client"], "azp": CLIENT_ID}
    assert claims_of(provider)["sub"] == "ada"


def test_a_token_without_a_signature_is_refused(provider: ScriptedProvider) -> None:
    provider.signs_with = ("none", None)
    with pytest.raises(SignInRefused, match="does not hold") as raised:
        claims_of(provider)
    assert "algorithm" in raised.value.cause


@pytest.mark.parametrize("secret", ["the public key", "the client's secret"])
def test_a_token_signed_with_what_others_know_is_refused(secret: str, provider: ScriptedProvider) -> None:
    known = provider.keys[0].as_pem(private=False) if secret == "the public key" else CLIENT_SECRET.encode()
    provider.signs_with = ("HS256", known)
    with pytest.raises(SignInRefused) as raised:
        claims_of(provider)
    assert "algorithm" in raised.value.cause


def test_a_token_signed_with_a_key_of_another_kind_is_refused(provider: ScriptedProvider) -> None:
    provider.signs_with = ("RS256", jwk.RSAKey.generate_key(2048))
    with pytest.raises(UnknownKeyError):
        claims_of(provider)


def test_a_token_that_was_changed_on_its_way_is_refused(provider: ScriptedProvider) -> None:
    head, _, signature = provider.id_token(NONCE).split(".")
    provider.who |= {"sub": "eve"}
    forged = ".".join((head, provider.id_token(NONCE).split(".")[1], signature))
    with pytest.raises(SignInRefused):
        checked_claims(forged, keys_of(provider.key_set), EXPECTED)


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "e30.e30.e30", "\u00e9.a.b", "eyJhbGciOiJFUzI1NiJ9.e30.AA"])
def test_what_is_no_token_is_refused(text: str, provider: ScriptedProvider) -> None:
    with pytest.raises((SignInRefused, UnknownKeyError)):
        checked_claims(text, keys_of(provider.key_set), EXPECTED)


def test_a_key_set_without_a_key_that_signs_is_none() -> None:
    for keys in ([], None, [{"kty": "oct", "k": "AAAA"}], [{"kty": "RSA"}], [7], [{"kty": "EC", "use": "enc"}]):
        with pytest.raises(ProviderFails):
            keys_of({"keys": keys})


@pytest.mark.parametrize("cookie", ["", "x", "e30", "bnVsbA", "W10", "\udcff", "A" * 3000, None])
def test_a_cookie_that_is_no_attempt_is_refused(cookie: str | None) -> None:
    with pytest.raises(SignInRefused, match="has not begun to sign in"):
        attempt_of(cookie)


def test_an_attempt_is_the_same_when_the_browser_brings_it_back() -> None:
    attempt = Attempt.begin("/keys", "gwi_x")
    found = attempt_of(attempt.text)
    assert found == attempt
    made = {found.state, found.nonce, found.verifier, found.challenge, found.digest, found.secret}
    assert len(made) == 6
    assert Attempt(attempt.secret, attempt.began, "/people", "gwi_x").state != attempt.state
