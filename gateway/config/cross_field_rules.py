"""Rules of the configuration file that hold between its fields. Pure: no I/O.

They read the plain values and not the models, so that one wrong field elsewhere does not hide their errors.
"""

from collections.abc import Iterable, Iterator

from gateway.config.document import Document, Path, SourceError, field_name
from gateway.config.validation_messages import suggested
from gateway.core.secret_text import digest_of

_A_LETTER_OFF = 0.88  # `acounts`, but not the `services` of other programs
_SECTIONS = ("server", "database", "accounts", "deployments")
_FOREIGN = (
    "this is no gateway configuration: it has neither `accounts` nor `database`, nor anything that belongs to them"
)
_EMPTY = "the file is empty; it needs `database`, or `accounts` with keys"
_NO_SOURCE = (
    "neither `database` nor `accounts` is set: nobody would have a key, and the gateway never runs open; "
    "name a database, or accounts with keys"
)


def check_kind(document: Document) -> None:
    """Raise SourceError, one line, for a file that is something else: no section of it is ours, or nearly so."""
    top = document.value
    if isinstance(top, dict) and top and not any(suggested(name, _SECTIONS, _A_LETTER_OFF) for name in top):
        raise SourceError(f"{document.source}:1: {_FOREIGN}")


def check_rules(document: Document) -> None:
    """Note in the document every rule that is broken."""
    top = document.value
    if not isinstance(top, dict):
        document.add_error((), _EMPTY if top is None else "the file must be a mapping, with lines like `server:`")
        return
    _one_source(document, top)
    _known_accounts(document, top)
    _keys_once(document, top)
    _key_names_once(document, top)
    _limits_on_own_deployments(document, top)
    _a_way_to_sign_in(document, top)


def _one_source(document: Document, top: dict[str, object]) -> None:
    if "database" in top:
        if top["database"] is None:
            document.add_error(("database",), "is empty; give it a value or leave the line out")
        for name in ("accounts", "deployments"):
            if name in top:
                document.add_error((name,), "cannot be used with `database`; `gguf-gateway import` moves it there")
    elif "accounts" not in top:
        document.add_error((), _NO_SOURCE)


def _known_accounts(document: Document, top: dict[str, object]) -> None:
    accounts = _mapping(top.get("accounts"))
    for name, entry in _mapping(top.get("deployments")).items():
        account = _mapping(entry).get("account")
        if isinstance(account, str) and account not in accounts and "database" not in top:
            near = suggested(account, [known for known in accounts if field_name((known,)) == known])
            document.add_error(("deployments", name, "account"), f"is not an account in this file{near}")


def _keys_once(document: Document, top: dict[str, object]) -> None:
    first: dict[bytes, Path] = {}
    for path, digest in _digests(top):
        if digest in first:
            line = document.line_of(first[digest])
            document.add_error(path, f"is the same key as the one on line {line}; every key belongs to one entry")
        else:
            first[digest] = path


def _key_names_once(document: Document, top: dict[str, object]) -> None:
    """Within an account: a key's id is `account/name`, and of two alike no log could say which one it was."""
    first: dict[tuple[str, str], Path] = {}
    for path, key in _key_entries(top):
        match key:
            case {"name": str(name)} if (account := str(path[1]), name) in first:
                line = document.line_of(first[account, name])
                document.add_error((*path, "name"), f"is the name of the key on line {line}, too; give each its own")
            case {"name": str(name)}:
                first[account, name] = (*path, "name")


def _limits_on_own_deployments(document: Document, top: dict[str, object]) -> None:
    """A limit on what the account can never call would limit nothing: a slip."""
    deployments = _mapping(top.get("deployments"))
    limited = [(("accounts", name), entry) for name, entry in _mapping(top.get("accounts")).items()]
    for path, entry in (*limited, *_key_entries(top)):
        account = path[1]
        own = [name for name, one in deployments.items() if _mapping(one).get("account") == account]
        for name in _mapping(_mapping(_mapping(entry).get("limits")).get("deployments")):
            if name not in own:
                where = (*path, "limits", "deployments", name)
                document.add_error(where, f"is not a deployment of the account {account}{suggested(str(name), own)}")


def _a_way_to_sign_in(document: Document, top: dict[str, object]) -> None:
    path = ("server", "sign_in")
    sign_in = _mapping(_mapping(top.get("server")).get("sign_in"))
    if "oidc" in sign_in and "database" not in top:
        document.add_error((*path, "oidc"), "needs `database`: people are kept there")
    if sign_in.get("password") is False and not sign_in.get("oidc"):
        document.add_error((*path, "password"), "is false, and there is no `oidc`: nobody could sign in")


def check_granted_accounts(document: Document, known: Iterable[str]) -> None:
    """Note each account that `server.sign_in.oidc` gives and the database does not hold: `known` are those it does."""
    server = _mapping(_mapping(document.value).get("server"))
    oidc = _mapping(_mapping(server.get("sign_in")).get("oidc"))
    known = frozenset(known)
    for kind in ("domains", "groups"):
        for name, grant in _mapping(oidc.get(kind)).items():
            accounts = _mapping(grant).get("accounts")
            for index, account in enumerate(accounts if isinstance(accounts, list) else []):
                if account not in known:
                    path = ("server", "sign_in", "oidc", kind, name, "accounts", index)
                    document.add_error(path, f"is not an account in the database{suggested(str(account), known)}")


def _digests(top: dict[str, object]) -> Iterator[tuple[Path, bytes]]:
    for path, key in _key_entries(top):
        match key:
            case {"key": str(text)}:
                yield (*path, "key"), digest_of(text)
            case {"key_sha256": str(text)}:
                yield (*path, "key_sha256"), _bytes(text)


def _key_entries(top: dict[str, object]) -> Iterator[tuple[Path, dict[str, object]]]:
    for account, entry in _mapping(top.get("accounts")).items():
        keys = _mapping(entry).get("keys")
        for index, key in enumerate(keys if isinstance(keys, list) else []):
            yield ("accounts", account, "keys", index), _mapping(key)


def _bytes(text: str) -> bytes:
    """The digest written in hex, or what is written as it stands: its own rule refuses it elsewhere."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return text.encode("utf-8", "surrogateescape")


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
