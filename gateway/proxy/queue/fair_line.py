"""The order in which requests get the places of one deployment. Pure: times are given, in seconds of any one clock.

Next is, in this order: who was moved to the front; a key that has been waiting for `longest_wait` without a place; of
those that are not `batch`, and then of those that are, the key that has had the fewest tokens, of the account that has.
What a request takes is known in the end only: it is charged what such requests usually take, and corrected then.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count, islice
from typing import NamedTuple

from gateway.proxy.queue.claims import Claim, Outlook, RequestId, TrackedRequest, Turn
from gateway.proxy.queue.forecast import Forecast
from gateway.proxy.queue.overdue import Overdue
from gateway.proxy.queue.token_counters import AccountCounter, KeyCounter, lift

_RECENT = 0.2  # the weight of the newest in what is usual
_UNKNOWN_TOKENS = 256  # charged for a request while nothing has been learned


@dataclass(slots=True)
class FairLine:
    """Who waits for, and who has, one of `places`."""

    places: int
    longest_wait: float
    mean_seconds: float = 0.0  # for which a request has a place; 0 before the first
    _mean_tokens: float = 0.0
    _accounts: dict[str, AccountCounter] = field(default_factory=dict)
    _last: float = 0.0  # `served` of the account that last got a place
    # Of those that wait, by key.
    _queues: dict[KeyCounter, dict[RequestId, TrackedRequest]] = field(default_factory=dict)
    _waiting: dict[RequestId, TrackedRequest] = field(default_factory=dict)  # in the order in which they came
    _front: dict[RequestId, TrackedRequest] = field(default_factory=dict)
    _running: dict[RequestId, TrackedRequest] = field(default_factory=dict)
    _over: set[RequestId] = field(default_factory=set)  # of those that run: without a place, and not settled yet

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, request: RequestId) -> bool:
        return request in self._waiting

    def ask(self, request: RequestId, claim: Claim, now: float) -> None:
        """Let a request wait."""
        key = self._counter(claim)
        account = key.account
        if not key.waiting:
            lift(key, account.keys.values(), account.last)
        if not account.waiting:
            lift(account, self._accounts.values(), self._last)
        key.waiting += 1
        account.waiting += 1
        self._waiting[request] = one = self._expected(request, key, claim, now)
        self._queues.setdefault(key, {})[request] = one

    def leave(self, request: RequestId) -> None:
        """It waits no longer, if it did."""
        one = self._waiting.pop(request, None)
        if one is None:
            return
        self._front.pop(request, None)
        queue = self._queues[one.key]
        del queue[request]
        if not queue:
            del self._queues[one.key]
        one.key.waiting -= 1
        one.key.account.waiting -= 1

    def begin_next(self, now: float) -> RequestId | None:
        """Give a place to who is next, and return that request; None if nobody waits."""
        one = next(self.order(now), None)
        if one is None:
            return None
        self.leave(one.id)
        key, account = one.key, one.key.account
        self._last, account.last = account.served, key.served
        key.given_at = now
        self._run(one, now)
        return one.id

    def begin(self, request: RequestId, claim: Claim, since: float) -> None:
        """Note a request that has got a place without waiting, while nobody waited."""
        key = self._counter(claim)
        if not key.waiting and not key.pending:
            lift(key, key.account.keys.values(), key.account.last)
        if not key.account.waiting and not key.account.pending:
            lift(key.account, self._accounts.values(), self._last)
        self._run(self._expected(request, key, claim, since), since)

    def end(self, request: RequestId) -> None:
        """It has no place any more; what it has taken is not known yet."""
        self._over.add(request)

    def settle(self, request: RequestId, tokens: int | None, seconds: float) -> None:
        """It is over, has taken so many tokens (None: what was expected), and had a place for so many `seconds`."""
        one = self._running.pop(request, None)
        self._over.discard(request)
        if one is None:
            return
        taken = one.tokens if tokens is None else tokens
        one.key.settle(one.tokens, taken)
        one.key.account.settle(one.tokens, taken)
        if taken and seconds:
            self.mean_seconds = recent_mean(self.mean_seconds, seconds)
            self._mean_tokens = recent_mean(self._mean_tokens, taken)

    def forget(self, belongs: Callable[[RequestId], bool]) -> None:
        """Drop the requests that belong to these, waiting or running."""
        for request in [one for one in self._waiting if belongs(one)]:
            self.leave(request)
        for request in [one for one in self._running if belongs(one)]:
            self.settle(request, None, 0.0)

    def move_to_front(self, request: RequestId) -> None:
        """Let it be the next, before all that were moved there earlier; one that was, stays as it is."""
        one = self._waiting.get(request)
        if one is not None and request not in self._front:
            self._front = {request: one, **self._front}

    def order(self, now: float) -> Iterator[TrackedRequest]:
        """All who wait, in the order in which they would get their places if all were free now."""
        first = self._first(now)
        yield from first.values()
        for is_batch in (False, True):
            yield from (turn.one for turn in self._by_level(is_batch=is_batch) if turn.one.id not in first)

    def outlooks(self, now: float, most: int | None = None) -> dict[RequestId, Outlook]:
        """What each of the first `most` that wait can expect, the first first."""
        return dict(islice(self.forecast(now, most).outlooks.items(), most))

    def forecast(self, now: float, most: int | None = None) -> Forecast:
        """What each that waits can expect, also of those who wait too long until then; and what one more could."""
        overdue = Overdue(self._queues, self.longest_wait, now)
        forecast = Forecast(overdue, self._free_in(now), self.mean_seconds, self._last)
        forecast.pass_first(self._front.values())
        for is_batch in (False, True):
            forecast.walk(islice(self._by_level(is_batch=is_batch), most), is_batch=is_batch)
        return forecast

    def outlook_of_one_more(self, claim: Claim, forecast: Forecast) -> Outlook:
        """What one more could expect that has this claim, by a forecast of a moment ago."""
        return forecast.of_one_more(self._counter(claim))

    def forget_idle(self) -> None:
        """Drop the counters that say nothing: of who neither waits nor runs, and is owed and owes nothing."""
        for name, account in tuple(self._accounts.items()):
            for key_id, key in tuple(account.keys.items()):
                if not key.waiting and not key.pending and key.served <= account.last:
                    del account.keys[key_id]
            if not account.keys and account.served <= self._last:
                del self._accounts[name]

    def _counter(self, claim: Claim) -> KeyCounter:
        account = self._accounts.get(claim.account)
        if account is None:
            account = self._accounts[claim.account] = AccountCounter()
        key = account.keys.get(claim.key)
        if key is None:
            key = account.keys[claim.key] = KeyCounter(account=account)
        account.weight, key.weight, key.is_batch = claim.account_weight, claim.key_weight, claim.is_batch
        key.tokens, key.seconds = claim.tokens or key.tokens, claim.seconds or key.seconds
        return key

    def _expected(self, request: RequestId, key: KeyCounter, claim: Claim, since: float) -> TrackedRequest:
        tokens = key.tokens or round(self._mean_tokens) or _UNKNOWN_TOKENS
        self.mean_seconds = self.mean_seconds or claim.seconds
        return TrackedRequest(request, key, tokens, key.seconds, since)

    def _run(self, one: TrackedRequest, now: float) -> None:
        one.since = now
        one.key.charge(one.tokens)
        one.key.account.charge(one.tokens)
        self._running[one.id] = one

    def _free_in(self, now: float) -> list[float]:
        """In how many seconds each place is free, as a heap."""
        mean = self.mean_seconds
        running = [one for one in self._running.values() if one.id not in self._over]
        free_in = [_seconds_left(one.seconds or mean, now - one.since) for one in running]
        free_in += [0.0] * (self.places - len(free_in))
        heapify(free_in)
        while len(free_in) > max(self.places, 1):
            heappop(free_in)  # more run than there are places: that one is not given again
        return free_in

    def _first(self, now: float) -> dict[RequestId, TrackedRequest]:
        """Those who go before all others."""
        return {**self._front, **{one.id: one for one in self._overdue(now)}}

    def _overdue(self, now: float) -> list[TrackedRequest]:
        """The first of each key that has waited too long for a place, who has waited for longest first."""
        oldest = next(iter(self._waiting.values()), None)
        if oldest is None or now - oldest.since < self.longest_wait:
            return []
        firsts = ((key, next(iter(queue.values()))) for key, queue in self._queues.items())
        found = [(max(first.since, key.given_at), first) for key, first in firsts]
        late = [pair for pair in found if now - pair[0] >= self.longest_wait]
        return [first for _, first in sorted(late, key=lambda pair: pair[0])]

    def _by_level(self, *, is_batch: bool) -> Iterator[Turn]:
        """One class of those who wait. Who is taken is charged, here alone, before the next is looked for."""
        number = count()  # so that two that are level are not compared further
        accounts: dict[AccountCounter, list[_KeyRank]] = {}
        for key, queue in self._queues.items():
            if key.is_batch is is_batch:
                requests = iter(queue.values())
                first = next(requests)
                rank = _KeyRank(key.level, first.since, next(number), first, requests)
                accounts.setdefault(key.account, []).append(rank)
        heap = []
        for account, ranks in accounts.items():
            heapify(ranks)
            heap.append((account.level, ranks[0].since, next(number), account))
        heapify(heap)
        while heap:
            level, _, _, account = heappop(heap)
            ranks = accounts[account]
            rank = heappop(ranks)
            yield Turn(rank.first, level, rank.level)
            following = next(rank.requests, None)
            if following is not None:
                higher = rank.level + rank.first.tokens / following.key.weight
                heappush(ranks, _KeyRank(higher, following.since, next(number), following, rank.requests))
            if ranks:
                level += rank.first.tokens / account.weight
                heappush(heap, (level, ranks[0].since, next(number), account))


class _KeyRank(NamedTuple):
    level: float
    since: float
    number: int
    first: TrackedRequest
    requests: Iterator[TrackedRequest]


def recent_mean(mean: float, newest: float) -> float:
    """The mean with a new value, in which old ones count less and less; 0 is no value."""
    return mean + (newest - mean) * _RECENT if mean else newest


def _seconds_left(usual: float, elapsed: float) -> float:
    """Of a request that usually takes so long; one that takes longer is taken for nearly through."""
    return max(usual - elapsed, usual / 4)
