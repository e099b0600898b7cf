"""Tests of app/statistics."""
