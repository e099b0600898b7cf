"""Faults injected into a real Tunebook."""
