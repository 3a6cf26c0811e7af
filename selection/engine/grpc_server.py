"""Whether a server of gRPC answers at all: one that is stopped, or cannot end, still has its connections accepted."""

from __future__ import annotations

import socket

# Seconds for an answer, on a machine that is kept busy.
_PATIENCE = 30.0

# How HTTP/2 begins, with a frame of settings that has none; the server sends such a frame, too.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def answers(address: str) -> bool:
    """Whether whoever listens at host:port says anything. True, too, for what is no such address, or refuses: whoever
    wants to connect hears of that."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        return True
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _PATIENCE) as connection:
            connection.sendall(_HELLO)
            connection.recv(1)
    except TimeoutError:
        return False
    except (OSError, OverflowError, UnicodeError):
        return True
    return True
