"""Backup, restore and move of a whole Tunebook."""
