"""Limits that one process counts alone, because it has no file that it could share."""

from datetime import tzinfo

from gateway.core.rate_limits import Measure
from gateway.usage.limits.arithmetic.record import Record
from gateway.usage.limits.store.limit_store import MachineClock
from gateway.usage.limits.store.record_store import RecordStore

_MOST = 10_000  # records; then they begin anew


class MemoryStore(RecordStore):
    """Forgets everything when its process ends."""

    def __init__(self, zone: tzinfo, clock: MachineClock) -> None:
        super().__init__(zone, clock)
        self._records: dict[bytes, Record] = {}

    def get(self, digest: bytes, measure: Measure | None) -> Record:
        """A record, as it is or blank."""
        return self._records.get(digest) or Record.blank(digest, measure)

    def put(self, record: Record) -> None:
        """Keep a record."""
        if len(self._records) >= _MOST and record.digest not in self._records:
            self._records.clear()
            self.begin_anew()
        self._records[record.digest] = record

    def close(self) -> None:
        self._records.clear()

    def _lock(self) -> None:
        """There is nobody else."""

    def _unlock(self) -> None:
        """There is nobody else."""
