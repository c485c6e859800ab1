#!/usr/bin/env python3
"""Takes memory and never gives any back."""
hoard = []
while True:
    hoard.append(bytearray(8 << 20))
