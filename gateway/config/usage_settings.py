"""Limits on use, and how requests wait, as the configuration file says them. Pure: no I/O."""

from collections.abc import Iterator
from typing import Annotated

from gateway.config.section import Bounds, section, setting
from gateway.config.setting_types import Id
from gateway.core.rate_limits import Measure, RateLimit, SubjectKind

_MOST = 10**15  # tokens a month: beyond all that are made
Amount = Annotated[int, Bounds(ge=1, le=_MOST)]
Weight = Annotated[float, Bounds(gt=0, le=1000)]


@section
class LimitValues:
    """How much may be used; what is left out is not limited."""

    concurrent_requests: Amount | None = setting(default=None, description=Measure.CONCURRENT_REQUESTS.description)
    requests_per_minute: Amount | None = setting(default=None, description=Measure.REQUESTS_PER_MINUTE.description)
    tokens_per_minute: Amount | None = setting(default=None, description=Measure.TOKENS_PER_MINUTE.description)
    tokens_per_day: Amount | None = setting(default=None, description=Measure.TOKENS_PER_DAY.description)
    tokens_per_month: Amount | None = setting(default=None, description=Measure.TOKENS_PER_MONTH.description)
    shadow: tuple[Measure, ...] = setting(
        default=(), description="Which of these are counted and shown, but not enforced yet."
    )

    def amounts(self) -> Iterator[tuple[Measure, int]]:
        """What is limited, and to how much."""
        for measure in Measure:
            amount = getattr(self, measure.value)
            if amount is not None:
                yield measure, amount


@section
class LimitsEntry(LimitValues):
    """How much a key or an account may use: of all deployments together, and of each that is named."""

    deployments: dict[Id, LimitValues] = setting(
        default_factory=dict, description="Limits on single deployments, by their id, beside those on all together."
    )

    def over(self, kind: SubjectKind, subject: str) -> Iterator[RateLimit]:
        """These as limits of a subject. The id of one is made of all that makes it different from others."""
        for deployment, values in ((None, self), *self.deployments.items()):
            for measure, amount in values.amounts():
                name = "/".join((kind.value, subject, deployment or "", measure.value))
                yield RateLimit(name, kind, subject, measure, amount, deployment, measure in values.shadow)
