#!/usr/bin/env python3
"""Wants to reach a server."""
import socket
import sys

try:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2) as home:
        home.sendall(b"stolen data")
    print("connected")
except OSError as error:
    print("no luck:", error.strerror)
    sys.exit(1)
