#!/usr/bin/env python3
"""Behaves: reads numbers, prints their sum."""
import sys

print(sum(int(line) for line in sys.stdin))
