"""Compute: where a trainer runs. One file each."""
