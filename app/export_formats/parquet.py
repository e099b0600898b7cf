"""Parquet: typed columns, compressed; read by pandas, Polars, DuckDB and R."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO

from app.export_formats._base import FLAG, REAL, TEXT, WHOLE, ExportFormat, Rows

# Lines in memory at once; each batch becomes a row group.
BATCH = 4_000


def write(rows: Rows, file: BinaryIO) -> None:
    """Texts are untouched; a cell that is None is null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {TEXT: pa.string(), WHOLE: pa.int64(), REAL: pa.float64(), FLAG: pa.bool_()}
    schema = pa.schema([(column.name, types[column.type]) for column in rows.columns])
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in _batches(rows):
            columns = list(zip(*batch, strict=True)) or [()] * len(schema)
            arrays = [pa.array(cells, field.type) for cells, field in zip(columns, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema))


def _batches(rows: Rows) -> Iterator[list[Sequence[Any]]]:
    lines = iter(rows.lines)
    while batch := list(islice(lines, BATCH)):
        yield batch


FORMAT = ExportFormat(
    name="parquet",
    label="Parquet",
    note="typed, for pandas, Polars and R",
    extension="parquet",
    media_type="application/vnd.apache.parquet",
    write=write,
    order=40,
)
