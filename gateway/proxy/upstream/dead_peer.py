"""Peers that vanish without a FIN, client or upstream: asleep, unplugged, gone. What TCP itself knows of them.

Where nothing is in flight, TCP's keep-alive asks. Where something is, nobody asks: for some 15 minutes it is only sent
again. TCP_USER_TIMEOUT would end that, but on Linux it also ends a connection whose peer is alive and has no room for
more (tcp_probe_timer in net/ipv4/tcp_timer.c): a client that reads slowly. So TCP_INFO is read instead.
"""

import contextlib
import socket
import struct
from asyncio import BaseTransport
from typing import cast

DEAD_PEER_SECONDS = 30.0

# struct tcp_info of Linux (include/uapi/linux/tcp.h): retransmissions and window probes in a row that were not
# answered, and the milliseconds since the last segment that acknowledged anything.
_TCP_INFO = struct.Struct("=2x2B52xI")
_UNANSWERED = 2  # of these in a row; one may have been lost
_IS_LINUX = hasattr(socket, "TCP_INFO") and hasattr(socket, "TCP_USER_TIMEOUT")
_KEEPIDLE = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))  # the latter: macOS
_ASKED = 3  # times, until a silent peer is taken for gone


def detect_death(transport: BaseTransport, seconds: float) -> None:
    """Have TCP's keep-alive end this connection once its peer has answered nothing for so long: 3 s at least.

    Does nothing for a Unix socket, whose peer cannot vanish. Where the system cannot set the times, its own hold.
    """
    connected = _tcp_socket(transport)
    if connected is None:
        return
    pause = max(1, round(seconds / 2 / _ASKED))
    options = {"TCP_KEEPINTVL": pause, "TCP_KEEPCNT": _ASKED}
    with contextlib.suppress(OSError):  # it is closed already
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if _KEEPIDLE is not None:
            connected.setsockopt(socket.IPPROTO_TCP, _KEEPIDLE, max(1, round(seconds - _ASKED * pause)))
        for name, value in options.items():
            if hasattr(socket, name):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def is_dead(transport: BaseTransport, seconds: float) -> bool:
    """Whether what is in flight to this peer has been sent again and again, for so long, and nothing came back.

    Known on Linux only; elsewhere always False.
    """
    connected = _tcp_socket(transport)
    if connected is None or not _IS_LINUX:
        return False
    try:
        info = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    except OSError:  # it is closed already
        return False
    retransmissions, probes, silence = cast("tuple[int, int, int]", _TCP_INFO.unpack(info))
    return retransmissions + probes >= _UNANSWERED and silence >= seconds * 1000


def _tcp_socket(transport: BaseTransport) -> socket.socket | None:
    found = cast("socket.socket | None", transport.get_extra_info("socket"))
    return found if found is not None and found.family in {socket.AF_INET, socket.AF_INET6} else None
