#!/usr/bin/env python3
"""Burns CPU time."""
while True:
    pass
