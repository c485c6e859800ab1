#!/usr/bin/env python3
"""Writes until nothing is left."""
import sys

written = 0
try:
    with open("/work/rubbish", "wb", buffering=0) as rubbish:
        while True:
            written += rubbish.write(b"x" * (1 << 20))
except OSError as error:
    print(f"stopped after {written >> 20} MiB:", error.strerror)
    sys.exit(1)
