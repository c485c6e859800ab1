#!/usr/bin/env python3
"""Wants a file of the host."""
import sys

try:
    with open(sys.argv[1]) as secret:
        print("got it:", secret.read())
except OSError as error:
    print("no luck:", error.strerror)
    sys.exit(1)
