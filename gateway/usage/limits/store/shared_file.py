"""Limits counted in one file, by all processes of this machine that share it.

A header and then records, each read and written in one call while the lock is held: a process that is killed leaves
every record as it was before or as it was to be. It also holds the lock of a slot for as long as it lives, by which
others see whether what it holds still counts.
"""

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import tzinfo
from pathlib import Path
from struct import Struct

from gateway.core.rate_limits import Measure
from gateway.usage.limits.arithmetic import counting
from gateway.usage.limits.arithmetic.record import RECORD_BYTES, SLOTS, Record
from gateway.usage.limits.store.limit_store import MachineClock, RecordStore
from gateway.usage.limits.store.range_lock import lock, try_lock, unlock

log = logging.getLogger("gateway.limits")

_MAGIC = b"gguf-gateway limits 1\n"
_HEADER = Struct("<32s64s")  # the magic, and the boot of the machine: its clock begins anew with each
HEADER_BYTES = 128
_MUTEX = 0  # the byte whose lock keeps others off; those after it are of the slots
_LOOK_SECONDS = 1.0  # between two looks at whether the file is still the one at its path
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SharedFile(RecordStore):
    """Counts in the file at `path`, which is made where there is none. Raises OSError where that cannot be.

    One that `only_looks` counts nothing, and leaves the file as it is: it takes the place of no process.
    """

    def __init__(self, path: Path, zone: tzinfo, clock: MachineClock, *, only_looks: bool = False) -> None:
        super().__init__(zone, clock)
        self._path = path
        self._only_looks = only_looks
        self._file = -1
        self._identity: tuple[int, int] | None = None
        self._places: dict[bytes, int] = {}  # which record of the file is whose
        self._known = 0  # records that were looked at for that
        self._look_at = 0.0
        self._open()

    def get(self, digest: bytes, measure: Measure | None) -> Record:
        """A record, as it is in the file or blank."""
        place = self._place(digest)
        if place is None:
            return Record.blank(digest, measure)
        record = self._read(place)
        if record is not None and record.digest == digest and record.measure is measure:
            return record
        self._forget_places()  # somebody has changed the file
        return Record.blank(digest, measure)

    def put(self, record: Record) -> None:
        """Write a record to its place, or behind all others."""
        digest = record.digest
        place = self._place(digest)
        if place is None:
            place = self._known
            self._places[digest] = place
            self._known += 1
        written = os.pwrite(self._file, record.packed(), HEADER_BYTES + place * RECORD_BYTES)
        if written != RECORD_BYTES:
            self._forget_places()
            raise OSError("the file of limits takes no more")

    def close(self) -> None:
        """Leave the file, and with it the slot's lock."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._identity = None

    def _lock(self) -> None:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._look()
        lock(self._file, _MUTEX)

    def _unlock(self) -> None:
        unlock(self._file, _MUTEX)

    def _is_dead(self, slot: int) -> bool:
        if not try_lock(self._file, 1 + slot):
            return False
        unlock(self._file, 1 + slot)
        return True

    def _look(self) -> None:
        """Open what is at the path, if that is no longer what is open, or somebody has emptied it."""
        if self._identity != _identity(self._path) or os.fstat(self._file).st_size < HEADER_BYTES:
            self.close()
            self._open()

    # --- opening

    def _open(self) -> None:
        self.begin_anew()
        while True:
            create = 0 if self._only_looks else os.O_CREAT
            self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | create, 0o600)
            is_ready = False
            try:
                lock(self._file, _MUTEX)
                is_ready = self._begin()
                unlock(self._file, _MUTEX)
            finally:
                if not is_ready:
                    self.close()
            if is_ready:
                return

    def _begin(self) -> bool:
        """Make the file ready, and take a slot. False if it is not, or no longer, the one at its path."""
        seen = os.fstat(self._file)
        self._identity = seen.st_dev, seen.st_ino
        if self._identity != _identity(self._path):
            return False
        header = os.pread(self._file, _HEADER.size, 0)
        if self._only_looks:
            self.slot = -1  # none
            return True
        if header and not _is_ours(header):
            self._set_aside()
            return False
        self._forget_places()
        boot = _boot()
        if header != _HEADER.pack(_MAGIC, boot):
            self._for_each(self._begin_with_machine)
            os.pwrite(self._file, _HEADER.pack(_MAGIC, boot).ljust(HEADER_BYTES, b"\0"), 0)
        self._take_slot()
        return True

    def _set_aside(self) -> None:
        aside = self._path.with_name(f"{self._path.name}.set-aside-{int(time.time())}")
        with suppress(FileNotFoundError):
            self._path.rename(aside)
        log.error(
            "%s is damaged, or no file of limits: it was set aside as %s; limits count anew", self._path, aside.name
        )

    def _begin_with_machine(self, record: Record) -> None:
        """The machine was started again: no process of before is left, and its clock tells other times."""
        for slot in record.holders():
            counting.bury(record, self.moment(), slot)
        if record.newest:
            record.clear_buckets()

    def _take_slot(self) -> None:
        """Take the first that is free, and bury whoever had it before."""
        slot = next((slot for slot in range(SLOTS) if try_lock(self._file, 1 + slot)), None)
        if slot is None:
            raise OSError(f"{SLOTS} processes count in the file of limits already")
        self.slot = slot
        self._for_each(self._bury_predecessor)

    def _bury_predecessor(self, record: Record) -> None:
        moment = self.moment()
        counting.enter(record, moment)
        counting.bury(record, moment, self.slot)

    # --- records in the file

    def _place(self, digest: bytes) -> int | None:
        place = self._places.get(digest)
        if place is None:
            self._find_more()
            place = self._places.get(digest)
        return place

    def _find_more(self) -> None:
        """Look at the records that others have written since."""
        while (record := self._read(self._known)) is not None:
            self._places[record.digest] = self._known
            self._known += 1

    def _read(self, place: int) -> Record | None:
        data = bytearray(os.pread(self._file, RECORD_BYTES, HEADER_BYTES + place * RECORD_BYTES))
        return Record(data) if len(data) == RECORD_BYTES else None

    def _for_each(self, change: Callable[[Record], None]) -> None:
        place = 0
        while (record := self._read(place)) is not None:
            before = bytes(record.packed())
            change(record)
            if record.packed() != before:
                os.pwrite(self._file, record.packed(), HEADER_BYTES + place * RECORD_BYTES)
            place += 1

    def _forget_places(self) -> None:
        self._places.clear()
        self._known = 0


def _is_ours(header: bytes) -> bool:
    return len(header) == _HEADER.size and _HEADER.unpack(header)[0].rstrip(b"\0") == _MAGIC


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino


def _boot() -> bytes:
    try:
        return _BOOT_ID.read_bytes().strip()[:64].ljust(64, b"\0")
    except OSError:
        return bytes(64)
