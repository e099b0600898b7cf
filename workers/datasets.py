"""The task that fetches a file from the Hub where it lies there, and checks it like an upload."""

from app.datasets.check import Report
from app.datasets.check_file import check_dataset, refuse_dataset
from app.datasets.flaws import Flaw
from app.datasets.from_hub import fetch_dataset
from app.queue import CHECK_DATASET, send_to
from app.storage import dataset_path
from app.stored_files import elsewhere
from app.tables import Dataset, DatasetState
from workers.celery_app import celery
from workers.task import guarded, lease

STATES = (DatasetState.QUEUED, DatasetState.CHECKING)
# A check that dies this often (a file that ends the process, too little memory) is given up.
MOST_ATTEMPTS = 20


@celery.task(name=CHECK_DATASET)
def check(dataset_id: int) -> None:
    """Safe to run twice at once: the second finds the lease taken. Killed, it begins again from the start."""
    if queue := elsewhere(dataset_path(dataset_id)):
        send_to(queue, CHECK_DATASET, dataset_id)
        return
    with lease(Dataset, dataset_id, STATES) as held:
        if held is None:
            return
        dataset = held.read()

        def refuse(message: str, hint: str) -> None:
            report = Report()
            report.add(0, Flaw("check-failed", "", message, hint))
            refuse_dataset(dataset, report, held.write)

        if dataset.attempt > MOST_ATTEMPTS:
            refuse(
                f"The check was ended {MOST_ATTEMPTS} times before it got through.",
                "The file may be damaged, or the machine may be short of memory.",
            )
            return

        def fetch_and_check() -> None:
            fetch_dataset(dataset, held.write)
            check_dataset(dataset, held.write)

        guarded(fetch_and_check, refuse, "checking a dataset")
