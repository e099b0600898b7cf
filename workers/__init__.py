"""What happens outside a web request: Celery tasks, and the processes they start."""
