"""The usage of a stream that broke off before it stated any: counted from what has passed. Pure bytes.

A llama-server sends an event for each token that it writes. How near that comes: docs/develop/decisions/0030-ledger.md.
"""

import re
from dataclasses import replace

from gateway.core.answer.excerpt import Excerpt
from gateway.core.answer.usage import Usage

# Events that come before the first token, all in the first bytes of a stream, and stand for none.
_BEFORE_TOKENS = re.compile(
    rb'"role": ?"assistant","content": ?null|"content": ?null,"role": ?"assistant"|"prompt_progress"'
    rb"|event: ?(?:message_start|ping|content_block_start)"
    rb"|event: ?response\.(?:created|in_progress|output_item\.added|content_part\.added)"
).findall
# llama-server's own streams tell both numbers in each event (`to_json_non_oaicompat` of its server-task.cpp).
_EVALUATED = re.compile(rb'"tokens_evaluated": ?(\d{1,15})[,}]').search
_PREDICTED = re.compile(rb'"tokens_predicted": ?(\d{1,15})[,}]').findall


def with_counted(stated: Usage | None, stream: Excerpt) -> Usage | None:
    """The usage of a stream that broke off: what it `stated`, and tokens written that are counted. None if it has none.

    >>> from gateway.core.answer.excerpt import stream_of
    >>> with_counted(None, stream_of(*[b'data: {"choices":[{"delta":{"content":"word"}}]}\\n\\n'] * 3))
    Usage(tokens_in=0, tokens_out=3, cached=0, tokens_per_second=None, counted=3)
    """
    if stated is not None and stated.tokens_out:
        return stated
    counted = max(stream.events - len(_BEFORE_TOKENS(stream.first)), 0)
    predicted = _PREDICTED(stream.last())
    if predicted:
        counted = max(counted, int(predicted[-1]))
    evaluated = _EVALUATED(stream.first)
    if stated is None:
        stated = Usage(0 if evaluated is None else int(evaluated[1]), 0)
    return replace(stated, tokens_out=counted, counted=counted) if counted or stated.tokens_in else None
