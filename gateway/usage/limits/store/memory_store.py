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
        record = self._records.get(digest)
        if record is None:
            record = self._records[digest] = Record.blank(digest, measure)
        return record

    def put(self, record: Record) -> None:
        """It is kept already."""

    def make_room(self) -> None:
        if len(self._records) >= _MOST:
            self._records.clear()
            self._begin_anew()

    def close(self) -> None:
        self._records.clear()
        self._begin_anew()

    def _lock(self) -> None:
        """There is nobody else."""

    def _unlock(self) -> None:
        """There is nobody else."""
