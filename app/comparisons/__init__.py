"""Comparisons: several evaluations over the same items, side by side. The URL holds the choice."""
