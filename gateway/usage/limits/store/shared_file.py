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

from gateway.core.file_signature import FileIdentity, file_identity
from gateway.core.rate_limits import Measure
from gateway.usage.limits.arithmetic import counting
from gateway.usage.limits.arithmetic.record import DIGEST_BYTES, RECORD_BYTES, SLOTS, Record, slot_at
from gateway.usage.limits.store.limit_store import MachineClock
from gateway.usage.limits.store.range_lock import RangeLock
from gateway.usage.limits.store.record_store import RecordStore

log = logging.getLogger("gateway.limits")

_MAGIC = b"gguf-gateway limits 2\n"
_HEADER = Struct("<32s64s")  # the magic, and the boot of the machine: its clock begins anew with each
_WRITER_AT = _HEADER.size  # whose slot has written last
_WRITER_BYTES = 8
HEADER_BYTES = RECORD_BYTES  # so no record lies across two pages: a write that is killed may end between pages
_MUTEX = 0  # the byte whose lock keeps others off; those after it are of the slots
_LOOK_SECONDS = 1.0  # between two looks at whether the file is still the one at its path
_READ_BYTES = 256 * RECORD_BYTES
_MOST_IN_MEMORY = 1000  # records
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SharedFile(RecordStore):
    """Counts in the file at `path`, which is made where there is none. Raises OSError where that cannot be.

    While no other process writes, what is in the file is known, and not read again. One that `only_looks` counts
    nothing, and leaves the file as it is: it takes the place of no process.
    """

    def __init__(self, path: Path, zone: tzinfo, clock: MachineClock, *, only_looks: bool = False) -> None:
        super().__init__(zone, clock)
        self._path = path
        self._only_looks = only_looks
        self._file = -1
        self._mutex = RangeLock(-1, _MUTEX)
        self._identity: FileIdentity | None = None
        self._places: dict[bytes, int] = {}  # which record of the file is whose
        self._end = HEADER_BYTES  # of those that were looked at for that
        self._begin_size = 0  # of the file, when it was opened
        self._records: dict[bytes, Record] = {}
        self._writer = b"nobody"  # what the header says where this process has written last
        self._is_writer = False
        self._look_at = 0.0
        self._open()

    def get(self, digest: bytes, measure: Measure | None) -> Record:
        """A record, as it is in the file or blank."""
        record = self._records.get(digest)
        if record is not None and record.turn == self.turn:
            return record
        return self._got(digest, measure)

    def put(self, record: Record) -> None:
        """Write a record to its place, or behind all others."""
        if not self._is_writer:
            self._begin_to_write()
        if record.place < 0:
            record.place = self._new_place(record.digest)
        if os.pwrite(self._file, record.packed(), record.place) != RECORD_BYTES:
            raise OSError("the file of limits takes no more")

    def make_room(self) -> None:
        if len(self._records) >= _MOST_IN_MEMORY:
            self._records.clear()
            self._begin_turn()

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
        self._mutex.acquire()
        try:
            writer = os.pread(self._file, _WRITER_BYTES, _WRITER_AT)
        except OSError:
            self._mutex.release()
            raise
        if writer != self._writer:
            self._begin_turn()
            self._is_writer = False

    def _unlock(self) -> None:
        self._mutex.release()

    def _is_dead(self, slot: int) -> bool:
        lock = RangeLock(self._file, 1 + slot)
        if not lock.try_acquire():
            return False
        lock.release()
        return True

    def _look(self) -> None:
        """Open what is at the path, if that is no longer what is open, or somebody has emptied it."""
        if self._identity != file_identity(self._path) or os.fstat(self._file).st_size < HEADER_BYTES:
            self.close()
            self._open()

    # --- opening

    def _open(self) -> None:
        self._begin_anew()
        while True:
            create = 0 if self._only_looks else os.O_CREAT
            self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | create, 0o600)
            self._mutex = RangeLock(self._file, _MUTEX)
            is_open = False
            try:
                self._mutex.acquire()
                is_ready = self._begin()
                self._mutex.release()
                if is_ready:
                    self._take_over()
                is_open = is_ready
            finally:
                if not is_open:
                    self.close()
            if is_open:
                return

    def _begin(self) -> bool:
        """Make the file ready, and take a slot. False if it is not, or no longer, the one at its path."""
        seen = os.fstat(self._file)
        self._identity = seen.st_dev, seen.st_ino
        if self._identity != file_identity(self._path):
            return False
        header = os.pread(self._file, _HEADER.size, 0)
        self._forget_records()
        self._begin_size = seen.st_size
        if self._only_looks:
            self.slot = -1  # none
            return True
        if header and not _is_ours(header):
            self._set_aside()
            return False
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
            counting.of(record.measure).bury(record, self._now(), slot)
        if record.newest:
            record.clear_buckets()

    def _take_slot(self) -> None:
        """Take the first that is free."""
        slot = next((slot for slot in range(SLOTS) if RangeLock(self._file, 1 + slot).try_acquire()), None)
        if slot is None:
            raise OSError(f"{SLOTS} processes count in the file of limits already")
        self.slot = slot
        self._writer = (1 + slot).to_bytes(_WRITER_BYTES, "little")
        self._begin_to_write()

    def _take_over(self) -> None:
        """Learn whose the records are that were there, and bury whoever had the slot before.

        Of very many it takes a while, for which the others are not kept off: a record stays where it is, and what is
        held in a slot that is taken, nobody else changes.
        """
        held_at = slot_at(self.slot)
        held = []
        while data := os.pread(self._file, max(0, min(_READ_BYTES, self._begin_size - self._end)), self._end):
            for at in range(0, len(data) - RECORD_BYTES + 1, RECORD_BYTES):
                self._places[data[at : at + DIGEST_BYTES]] = self._end
                if self.slot >= 0 and any(data[at + held_at : at + held_at + 8]):
                    held.append(self._end)
                self._end += RECORD_BYTES
            if len(data) < RECORD_BYTES:
                break
        for place in held:
            self._bury_predecessor(place)

    def _bury_predecessor(self, place: int) -> None:
        self._mutex.acquire()
        try:
            self._begin_to_write()
            record = Record(bytearray(os.pread(self._file, RECORD_BYTES, place)))
            moment, counts = self._now(), counting.of(record.measure)
            counts.enter(record, moment)
            counts.bury(record, moment, self.slot)
            os.pwrite(self._file, record.packed(), place)
        finally:
            self._mutex.release()

    # --- records in the file

    def _begin_to_write(self) -> None:
        """Say so before the first byte of a record: all others read anew what they know."""
        os.pwrite(self._file, self._writer, _WRITER_AT)
        self._is_writer = True

    def _got(self, digest: bytes, measure: Measure | None) -> Record:
        """A record that is not known, or may have been changed by others."""
        record = self._records.get(digest)
        if record is None:
            record = self._records[digest] = Record.blank(digest, measure)
        if record.place < 0:
            record.place = self._place(digest)
        if record.place >= 0:
            os.preadv(self._file, (record.data,), record.place)
            record.unpack()
            if record.digest != digest or record.measure is not measure:  # somebody has changed the file
                self._forget_records()
                record = self._records[digest] = Record.blank(digest, measure)
        record.turn = self.turn
        return record

    def _place(self, digest: bytes) -> int:
        """Where in the file the record with this digest is; -1: nowhere."""
        if digest not in self._places:
            self._find_more()
        return self._places.get(digest, -1)

    def _new_place(self, digest: bytes) -> int:
        """Where it may be: behind all others."""
        place = self._place(digest)
        if place < 0:
            place = self._places[digest] = self._end
            self._end += RECORD_BYTES
        return place

    def _find_more(self) -> None:
        """Look at the records that others have written since."""
        while len(data := os.pread(self._file, RECORD_BYTES, self._end)) == RECORD_BYTES:
            self._places[data[:DIGEST_BYTES]] = self._end
            self._end += RECORD_BYTES

    def _for_each(self, change: Callable[[Record], None]) -> None:
        place = HEADER_BYTES
        while len(data := os.pread(self._file, RECORD_BYTES, place)) == RECORD_BYTES:
            record = Record(bytearray(data))
            change(record)
            if record.packed() != data:
                os.pwrite(self._file, record.packed(), place)
            place += RECORD_BYTES

    def _forget_records(self) -> None:
        self._begin_turn()
        self._records.clear()
        self._places.clear()
        self._end = HEADER_BYTES


def _is_ours(header: bytes) -> bool:
    return len(header) == _HEADER.size and _HEADER.unpack(header)[0].rstrip(b"\0") == _MAGIC


def _boot() -> bytes:
    try:
        return _BOOT_ID.read_bytes().strip()[:64].ljust(64, b"\0")
    except OSError:
        return bytes(64)
