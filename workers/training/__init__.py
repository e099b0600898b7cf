"""The built-in trainer, batch prediction and the runner of baselines, as a process of its own.

Started as `python -m training FOLDER` on a bundle. A copy travels in each bundle, so nothing of `app` is imported.
"""
