"""The resident server of local models behind the door: one process for each machine's device, on a Unix socket.

Started as `python -m workers.inference` by app/up.py; asked by app/door/inference.py. docs/inference.md says how it speaks.
"""
