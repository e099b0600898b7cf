"""What the client shows and gives without a server: tables, frames, progress, what it imports."""

import io
import subprocess
import sys

import pytest
import tunebook.rows
from tunebook import Dataset, Figure, GridModel, MissingLibrary, Rows
from tunebook.progress import Progress

PROBLEM = {"line": 1, "message": "<script>alert(1)</script>"}


def test_a_notebook_shows_text_as_text() -> None:
    shown = Dataset(1, "<img src=x onerror=alert(1)>", "refused", problems=(PROBLEM,))._repr_html_()
    assert "<script" not in shown
    assert "<img" not in shown
    assert "&lt;img" in shown
    many = Rows([GridRow(number) for number in range(100)])
    assert many._repr_html_().count("<tr>") == tunebook.rows.SHOWN + 1
    assert "... and 40 more" in repr(many)
    assert repr(Rows([])) == "(none)"
    assert Figure("f", "pdf", b"%PDF")._repr_svg_() is None


class GridRow:
    """Anything that can tell its row."""

    def __init__(self, id: int) -> None:
        self.id = id

    def row(self) -> dict[str, int]:
        return {"id": self.id}


def test_frames_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows([GridRow(1), GridRow(2)])
    assert rows.frame("pandas")["id"].tolist() == rows.frame("polars")["id"].to_list() == [1, 2]
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingLibrary, match="pip install polars"):
        rows.frame("polars")
    with pytest.raises(MissingLibrary, match="not known"):
        rows.frame("numpy")
    assert rows.rows() == [{"id": 1}, {"id": 2}]


def test_progress_is_one_line_in_a_terminal_and_few_in_a_file() -> None:
    times = iter(float(number) for number in range(1000))
    terminal, log = io.StringIO(), io.StringIO()
    live = Progress("run 1", file=terminal, live=True, clock=lambda: next(times))
    for number in range(11):
        live(number / 10, "done" if number == 10 else "training")
    live.close()
    assert terminal.getvalue().count("\n") == 1
    assert terminal.getvalue().count("\r") == 11
    slow = Progress("run 1", file=log, live=False, clock=lambda: 0.0)
    for number in range(11):
        slow(number / 10)
    slow.close()
    assert log.getvalue().count("\n") == 2, "the first and the last"
    assert not Progress("run 1", shown=False, file=log).shown


def test_grids_are_sent_as_they_are_written() -> None:
    asked = GridModel("starter/tiny", epochs=[1, 3], compute="cluster").body()
    assert asked == {"model": "starter/tiny", "hyperparameters": {"epochs": [1, 3]}, "compute": "cluster"}


@pytest.mark.laptop
def test_the_client_brings_no_server_along() -> None:
    code = "import sys, tunebook; print([n for n in sys.modules if n.split('.')[0] in sys.argv[1:]])"
    names = ("app", "fastapi", "sqlalchemy", "celery", "pandas", "polars", "numpy", "typer")
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
