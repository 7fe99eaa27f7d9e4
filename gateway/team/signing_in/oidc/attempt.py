"""One attempt to sign in: what ties the provider's answer to the browser that asked.

All of it is in a cookie of that browser, and the gateway keeps nothing: any of its processes may take the answer.
State, nonce and PKCE's verifier are made of the cookie's secret: each can be made again, and none tells another.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from gateway.team.signing_in.oidc.oidc_error import NotThisAttempt, SignInRefused

LIFETIME = 600  # seconds from the button to the provider's answer
_AGAIN = "Begin the sign-in again, in this window."


@dataclass(frozen=True, slots=True)
class Attempt:
    """`secret` is random, `began` in Unix time; `wanted` is a path of ours, `invitation` the secret of a link."""

    secret: str
    began: int
    wanted: str
    invitation: str

    @classmethod
    def begin(cls, wanted: str, invitation: str = "") -> "Attempt":
        """A new one."""
        return cls(secrets.token_urlsafe(32), int(time.time()), wanted, invitation)

    @property
    def text(self) -> str:
        """What the browser keeps."""
        return _base64url(json.dumps(asdict(self)).encode())

    @property
    def state(self) -> str:
        """What the provider must send back (RFC 6749 10.12)."""
        return self._made_for("state")

    @property
    def nonce(self) -> str:
        """What the ID token must contain (OpenID Connect Core 3.1.2.1)."""
        return self._made_for("nonce")

    @property
    def verifier(self) -> str:
        """What only who began can show for the code (RFC 7636 4.1)."""
        return self._made_for("verifier")

    @property
    def challenge(self) -> str:
        """The verifier's SHA-256, which the provider is told beforehand (RFC 7636 4.2)."""
        return _base64url(hashlib.sha256(self.verifier.encode()).digest())

    @property
    def digest(self) -> str:
        """By which it is known that the attempt has been used, in hex."""
        return hashlib.sha256(b"oidc attempt " + self.secret.encode()).hexdigest()

    def code_of(self, answer: Mapping[str, str], issuer: str, *, names_issuer: bool) -> str:
        """The code in a provider's answer to this attempt. `names_issuer`: the provider's answers say who it is.

        Raises NotThisAttempt for an answer to another, SignInRefused for one too late or of another's (RFC 9207).
        """
        if not hmac.compare_digest(answer.get("state", "").encode(), self.state.encode()):
            raise NotThisAttempt(f"This answer belongs to another sign-in. {_AGAIN}", "the state is another's")
        if time.time() - self.began > LIFETIME:
            raise SignInRefused(f"The sign-in took too long. {_AGAIN}", "the attempt is too old")
        if answer.get("iss", "" if names_issuer else issuer) != issuer:
            raise SignInRefused(f"The answer came from another provider. {_AGAIN}", "the answer's iss is another's")
        if answer.get("error"):
            said = "The provider did not let you sign in. Try again, or ask its admins if you may use this gateway."
            raise SignInRefused(said, "the provider answered with an error")
        if not answer.get("code"):
            raise SignInRefused(f"The provider's answer is incomplete. {_AGAIN}", "the answer has no code")
        return answer["code"]

    def _made_for(self, purpose: str) -> str:
        said = json.dumps([purpose, self.began, self.wanted, self.invitation]).encode()
        return _base64url(hmac.digest(self.secret.encode(), said, "sha256"))


def attempt_of(text: str | None) -> Attempt:
    """The attempt that a browser keeps. Raises NotThisAttempt if it keeps none."""
    try:
        found = json.loads(base64.urlsafe_b64decode((text or "") + "=="))
        secret, began, wanted, invitation = (found[name] for name in ("secret", "began", "wanted", "invitation"))
        return Attempt(str(secret), int(began), str(wanted), str(invitation))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        cause = "the browser keeps no attempt, or nothing that is one"
        raise NotThisAttempt(f"This browser has not begun to sign in, or is done. {_AGAIN}", cause) from None


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
