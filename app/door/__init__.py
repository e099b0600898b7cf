"""The OpenAI-compatible API at /v1: one door to every model that Tunebook has."""
