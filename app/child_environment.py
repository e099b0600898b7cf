"""What processes that only compute get of this one's environment. Called by app/compute/local.py for trainings, and by
app/supervisor.py and workers/inference for the server of local models.
"""

import re
from collections.abc import Mapping

# Tunebook's settings, and those of the queue, the bucket, the database and the collector of traces: passwords and keys.
OURS_ALONE = ("TUNEBOOK_", "CELERY_", "AWS_", "PGPASS", "OTEL_")
# As programs name what opens something of their own.
SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|DSN)S?$")


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """All but Tunebook's own. What is left may hold a person's own keys, such as HF_TOKEN, which a training may need."""
    return {name: value for name, value in environment.items() if not name.startswith(OURS_ALONE)}


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """All but Tunebook's own and what is named like a secret: for a process that asks nobody for anything."""
    kept = without_settings(environment)
    return {name: value for name, value in kept.items() if not SECRET.search(name.upper())}
