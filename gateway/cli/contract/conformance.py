"""The contract, played against a gateway from outside: which of its rows hold. Any gateway, this one or another."""

import gzip
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from gateway.cli.contract.judges import (
    Judge,
    JudgedAnswer,
    alike,
    guarded,
    has_id,
    named_alike,
    refused,
    refused_to_anthropic,
    status,
    streamed,
)
from gateway.core import errors
from gateway.core.endpoints import ENDPOINTS
from gateway.core.http.headers import ANTHROPIC_REQUEST_ID, KEY_HEADERS, REQUEST_ID

_MESSAGES = '"max_tokens": 8, "messages": [{"role": "user", "content": "Say hello."}]'
_PROMPT = f'{{"model": "any", {_MESSAGES}}}'.encode()
_STREAMED = f'{{"model": "any", "stream": true, {_MESSAGES}}}'.encode()
_CHAT, _MODELS = "/v1/chat/completions", "/v1/models"
_JSON = ("Content-Type", "application/json")
_PRESENTED = "a key in "

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `headers` hold keys, so they are not shown."""

    method: str
    url: str
    headers: Headers = field(default=(), repr=False)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One row: what is asked, and the judge of the answers, who says what is wrong, or nothing."""

    name: str
    asks: Sequence[Ask]
    judge: Judge


@dataclass(frozen=True, slots=True)
class Finding:
    """A row that was played; `wrong` is empty if it holds."""

    name: str
    wrong: str


async def play(checks: Sequence[Check], timeout: float) -> AsyncIterator[Finding]:
    """Play one row after another. `timeout`, in seconds, is for each answer as a whole.

    Raises aiohttp.ClientConnectorError if there is no connection for the first one.
    """
    limit = aiohttp.ClientTimeout(total=timeout)
    async with aiohttp.ClientSession(timeout=limit, skip_auto_headers=["Content-Type"]) as session:
        for check in checks:
            try:
                wrong = check.judge([await _answer(session, ask) for ask in check.asks])
            except TimeoutError:
                wrong = f"no whole answer within {timeout:g} s"
            except aiohttp.ClientError as error:
                if check is checks[0] and isinstance(error, aiohttp.ClientConnectorError):
                    raise
                wrong = str(error) or type(error).__name__
            yield Finding(check.name, wrong)


async def _answer(session: aiohttp.ClientSession, ask: Ask) -> JudgedAnswer:
    request = session.request(ask.method, ask.url, headers=ask.headers, data=ask.body, allow_redirects=False)
    async with request as response:
        return JudgedAnswer(response.status, response.headers, response.raw_headers, await response.read())


def refuses_the_key(findings: Sequence[Finding]) -> bool:
    """Whether the key that should be good was turned away in every header it may stand in."""
    presented = [finding for finding in findings if finding.name.startswith(_PRESENTED)]
    return all(finding.wrong.startswith("401") for finding in presented)


# --- the rows


def rows(base_url: str, key: str, in_state: Mapping[str, str]) -> list[Check]:
    """All rows for a deployment that is ready. `in_state`: base URLs of others, `deploying`, `paused`, `restarting`."""
    good = (("x-api-key", key),)
    return [
        *_key_rows(base_url, key),
        *_deployment_rows(base_url, good),
        *_path_rows(base_url, good),
        *_answer_rows(base_url, good),
        *(
            Check(f"{row.status} {state}", [Ask("GET", in_state[state] + _MODELS, good)], refused(row, state))
            for state, row in _STATES.items()
            if state in in_state
        ),
    ]


_STATES = {"deploying": errors.DEPLOYING, "paused": errors.PAUSED, "restarting": errors.UNREACHABLE}


def _key_rows(base_url: str, key: str) -> list[Check]:
    bearer = f"Bearer {key}"
    unknown = f"unknown-{secrets.token_hex(12)}"
    accepted: dict[str, Headers] = {
        "Authorization: Bearer": (("Authorization", bearer),),
        "x-api-key": (("x-api-key", key),),
        "key": (("key", key),),
        "all three": (("Authorization", bearer), ("x-api-key", key), ("key", key)),
    }
    turned_away: dict[str, Headers] = {
        "no key": (),
        **{f"an unknown key in {name}": ((name, _worn(name, unknown)),) for name in KEY_HEADERS},
        "an empty key": (("x-api-key", ""),),
        "a key in another scheme than Bearer": (("Authorization", f"Token {key}"),),
        "a good key, and another one": (("Authorization", bearer), ("x-api-key", unknown)),
        "a good key, and an empty one": (("x-api-key", key), ("key", "")),
    }
    url = base_url + _MODELS
    return [
        *(Check(f"{_PRESENTED}{name}", [Ask("GET", url, headers)], status(200)) for name, headers in accepted.items()),
        *(Check(f"401 {why}", [Ask("GET", url, sent)], refused(errors.BAD_KEY)) for why, sent in turned_away.items()),
        Check(
            "401 no key on /v1/messages, in Anthropic's envelope or not",
            [Ask("POST", f"{base_url}/v1/messages", (_JSON,), _PROMPT)],
            refused_to_anthropic(errors.BAD_KEY),
        ),
        Check(
            "401 no key, whether or not there is such a deployment",
            [Ask("GET", _sibling(base_url) + _MODELS), Ask("GET", url)],
            refused(errors.BAD_KEY),
        ),
    ]


def _worn(header: str, key: str) -> str:
    return f"Bearer {key}" if header == "authorization" else key


def _sibling(base_url: str) -> str:
    """The base URL of a deployment that does not exist."""
    return f"{base_url.rpartition('/')[0]}/none-{secrets.token_hex(6)}"


def _deployment_rows(base_url: str, good: Headers) -> list[Check]:
    strangers = [Ask("GET", _sibling(base_url) + _MODELS, good) for _ in range(2)]
    return [
        Check("404 an unknown deployment", strangers[:1], refused(errors.NO_DEPLOYMENT)),
        Check("404 the same bytes whatever the id", strangers, alike),
    ]


def _path_rows(base_url: str, good: Headers) -> list[Check]:
    def row(name: str, method: str, path: str, judge: Judge) -> Check:
        return Check(name, [Ask(method, base_url + path, good)], judge)

    reads = ", ".join(ENDPOINTS[_MODELS].methods)
    encoded = Ask("POST", base_url + _CHAT, (*good, _JSON, ("Content-Encoding", "gzip")), gzip.compress(_PROMPT))
    return [
        row("404 an unknown path", "GET", "/v1/no-such-path", refused(errors.NO_SUCH_PATH)),
        row("404 what llama-server has and a gateway hides", "GET", "/slots", refused(errors.NO_SUCH_PATH)),
        row("405 GET where only POST is served", "GET", _CHAT, refused(errors.WRONG_METHOD, "POST", Allow="POST")),
        row("405 DELETE where only GET is served", "DELETE", _MODELS, refused(errors.WRONG_METHOD, reads, Allow=reads)),
        row("400 a POST without a body", "POST", _CHAT, refused(errors.EMPTY_BODY)),
        Check("415 a compressed body", [encoded], refused(errors.ENCODED_BODY)),
    ]


def _answer_rows(base_url: str, good: Headers) -> list[Check]:
    name = f"contract-{secrets.token_hex(6)}"
    named, garbled = (REQUEST_ID, name), (REQUEST_ID, "not an id")
    hello = [Ask("HEAD", base_url), Ask("HEAD", f"{base_url}/api/hello"), Ask("GET", f"{base_url}/api/hello")]
    models, headers = base_url + _MODELS, (*good, _JSON)
    return [
        Check("204 hello, with no key", hello, status(204)),
        Check("an answer of the model", [Ask("POST", base_url + _CHAT, headers, _PROMPT)], status(200)),
        Check("a stream ends in [DONE]", [Ask("POST", base_url + _CHAT, headers, _STREAMED)], streamed(b"[DONE]")),
        Check(
            "a stream of /v1/messages ends in message_stop",
            [Ask("POST", f"{base_url}/v1/messages", headers, _STREAMED)],
            streamed(b'"message_stop"'),
        ),
        Check(
            f"{REQUEST_ID} comes back", [Ask("GET", models, (*good, named)), Ask("GET", models, (named,))], has_id(name)
        ),
        Check(f"{REQUEST_ID} is replaced if it is not valid", [Ask("GET", models, (*good, garbled))], has_id(None)),
        Check(
            f"{ANTHROPIC_REQUEST_ID} says the same as {REQUEST_ID}",
            [Ask("GET", models, good), Ask("GET", models)],
            named_alike,
        ),
        Check("nosniff and no-store on every answer", [Ask("GET", models, good), Ask("GET", models)], guarded),
    ]
