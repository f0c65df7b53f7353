"""Ports for servers in processes of their own."""

from __future__ import annotations

import random
import socket


def free_port() -> int:
    """One that nobody listens on, below those that the system gives to clients: nothing takes it before the server does."""
    source = random.SystemRandom()
    while True:
        port = source.randrange(20_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
