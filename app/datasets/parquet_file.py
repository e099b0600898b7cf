"""Reads a Parquet file row by row, a small batch in memory at a time. Called by convert.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.datasets.flaws import Flaw

BATCH_ROWS = 500
MOST_ROWS = 50_000_000

Row = tuple[int, dict[str, Any] | Flaw | None]


def open_parquet(path: Path) -> tuple[list[str], Iterator[Row]]:
    """(the columns, the rows counted from 1). Raises Flaw for a file that cannot be opened."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Reads pages as they are needed instead of whole row groups.
        file = pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
        columns = list(file.schema_arrow.names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(error) from None
    if file.metadata.num_rows > MOST_ROWS:
        rows = f"{file.metadata.num_rows:,}"
        raise Flaw("too-large", "", f"The file has {rows} rows.", f"At most {MOST_ROWS:,} are taken.")
    if len(set(columns)) < len(columns):
        raise Flaw("bad-header", "", "Two columns have the same name.", "Give each column a name of its own.")
    return columns, _rows(file)


def _rows(file: Any) -> Iterator[Row]:
    import pyarrow as pa

    line = 0
    try:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
            for row in _pylist(batch):
                line += 1
                yield line, row
    except (pa.ArrowException, OSError) as error:
        yield line + 1, _damaged(error)
    if not line:
        raise Flaw("empty-file", "", "The Parquet file has no rows.", "Choose the file again.")


def _pylist(batch: Any) -> Iterator[dict[str, Any] | Flaw]:
    """The batch's rows; where one holds text that is not UTF-8, the rows are taken one at a time."""
    try:
        yield from batch.to_pylist()
        return
    except UnicodeDecodeError:
        pass
    for place in range(batch.num_rows):
        try:
            yield batch.slice(place, 1).to_pylist()[0]
        except UnicodeDecodeError as error:
            message = f"A text of this row is not valid UTF-8 (byte {error.start + 1})."
            yield Flaw("utf-8", "", message, "Write the file again from proper text.")


def _damaged(error: Exception) -> Flaw:
    return Flaw(
        "bad-parquet", "", f"The Parquet file cannot be read: {str(error).splitlines()[0][:200]}.",
        "Write or download it again; the transfer may have been cut off.",
    )  # fmt: skip
