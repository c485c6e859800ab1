#!/usr/bin/env python3
"""Forks without end; every child does too."""
import os
import time

while True:
    try:
        os.fork()
    except OSError as error:
        print("no more:", error.strerror, flush=True)
        time.sleep(0.2)
        os._exit(1)
