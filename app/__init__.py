"""Tunebook: the lab notebook for fine-tuned language models."""
