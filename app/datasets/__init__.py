"""Datasets: uploaded files, checked once and then immutable, with their frozen splits."""
