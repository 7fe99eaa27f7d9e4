"""Who does something, and by what way."""

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.team.operation_error import Denied, NotFound
from gateway.team.roles import PERMISSIONS, Reach, Role
from gateway.team.scopes import ALL_SCOPES


class ActorKind(StrEnum):
    """What an actor is. `machine`: somebody with a shell on the machine, who may open the database itself."""

    PERSON = "person"
    TOKEN = "token"  # noqa: S105  a word
    MACHINE = "machine"


class Face(StrEnum):
    """The way by which an operation is asked for."""

    PAGE = "page"
    API = "api"
    COMMAND_LINE = "cli"


@dataclass(frozen=True, slots=True)
class Way:
    """How an actor comes: by which face, from which address (None on the machine itself), and to which URL.

    `base_url` is where they reach the gateway's pages: links that are shown to them begin with it.
    """

    face: Face
    address: str | None = None
    base_url: str = ""


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who is signed in, or a token.

    `accounts` are those a person belongs to. `scopes` narrow what a token may do; a person has all.
    """

    kind: ActorKind
    id: str
    name: str
    role: Role
    way: Way
    accounts: frozenset[str] = frozenset()
    scopes: frozenset[str] = field(default=frozenset({ALL_SCOPES}))

    def reach(self, action: str) -> Reach:
        """How far this actor's permission for an action goes. Raises Denied if there is none."""
        found = PERMISSIONS.get((self.role, action))
        if found is None:
            raise Denied(f"A {self.role} may not do this ({action}). Ask an admin to do it.")
        return found

    def require_scope(self, scope: str) -> None:
        """Raise Denied, which names the scope, unless the actor has it."""
        if ALL_SCOPES not in self.scopes and scope not in self.scopes:
            raise Denied(f"The token lacks the scope {scope}.", scope=scope)

    def sees_account(self, action: str, account: str) -> bool:
        """Whether what an account owns is within reach."""
        return self.reach(action) is Reach.EVERYTHING or account in self.accounts

    def sees_own(self, action: str, owner: str | None, account: str) -> bool:
        """Whether a thing that `owner` made for an account is within reach."""
        match self.reach(action):
            case Reach.EVERYTHING:
                return True
            case Reach.ACCOUNTS:
                return account in self.accounts
            case Reach.OWN:
                return owner == self.id and account in self.accounts

    def require(self, within_reach: bool, what: str) -> None:
        """Raise NotFound, as for a thing that is not there, unless it is within reach."""
        if not within_reach:
            raise NotFound(what)


def machine_actor(name: str, base_url: str = "") -> Actor:
    """Somebody on the machine, by the name of their user there."""
    return Actor(ActorKind.MACHINE, "machine", name, Role.ADMIN, Way(Face.COMMAND_LINE, base_url=base_url))
