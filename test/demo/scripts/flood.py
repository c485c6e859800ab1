#!/usr/bin/env python3
"""Prints without end."""
while True:
    print("spam " * 2000)
