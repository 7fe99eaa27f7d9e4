"""Why a sign-in by OpenID Connect came to nothing."""

from gateway.team.operation_error import OperationError


class OidcError(OperationError):
    """A sentence for whoever wanted to sign in; `cause` is for the log. No secret, code or token is in either."""

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


class ProviderFails(OidcError):
    """The provider cannot be reached, is slow, or answers what it should not: it may pass."""

    def __init__(self, cause: str) -> None:
        super().__init__("The sign-in provider cannot be used right now. Try again in a moment.", cause)


class ProviderNotTrusted(ProviderFails):
    """The provider's certificate does not verify: it passes when an admin has seen to it."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.message = (
            "The sign-in provider cannot be used: this gateway does not trust its certificate. Ask an admin, who finds "
            "what to do in the gateway's log."
        )


class SignInRefused(OidcError):
    """This sign-in is not good; another may be."""


class NotThisAttempt(SignInRefused):
    """The answer is to no attempt that this browser has under way: to an older one, or somebody else's."""


class NobodyKnown(OidcError):
    """Somebody proved who they are, and nothing in the settings or among the invitations is for them."""
