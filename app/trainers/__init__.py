"""Trainers: toolkits that train from a config file. One file each; app/registry.py finds them as TRAINER."""
