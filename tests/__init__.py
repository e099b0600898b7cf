"""Tests of Tunebook; folders mirror app/."""
