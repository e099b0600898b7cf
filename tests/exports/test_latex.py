"""LaTeX: escapes, bold only where the test supports it, and a real TeX that takes the table."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import Session

from app.exports.latex import LETTERS, RARE, SIGNS, SPECIAL, escape, latex_table
from app.exports.state import read_state
from app.lab.actor import Actor
from app.tables import Run
from tests.exports.paper import API, answers, experiment, imported, three_runs

DOCUMENT = r"""\documentclass[%s]{article}
\usepackage[T1]{fontenc}
\usepackage{textcomp}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage{url}
\begin{document}
%s
\end{document}
"""


def tex(text: str, folder: Path, options: str = "10pt") -> str:
    """What pdfLaTeX says of a document of this text; the test is skipped where there is none."""
    if not shutil.which("pdflatex"):
        pytest.skip("no pdfLaTeX on this machine (Debian: texlive-latex-recommended): LaTeX is not compiled")
    (folder / "paper.tex").write_text(DOCUMENT % (options, text), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=300)
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, said[-3000:]
    assert (folder / "paper.pdf").stat().st_size > 1000
    return said


def lines(table: str) -> list[str]:
    """The body of the table."""
    return table.split("\\midrule\n")[1].split("\\bottomrule")[0].strip().splitlines()


def test_every_special_character_is_escaped() -> None:
    assert escape("50 % of_{a} & b #1 $x^2~\\y") == (
        r"50 \% of\_\{a\} \& b \#1 \$x\textasciicircum{}2\textasciitilde{}\textbackslash{}y"
    )
    assert escape("a-b--c---d [e]") == "a-b-{}-c-{}-{}-d {[}e{]}"
    assert escape("−1.5 ≥ é\u202e😀\n\0") == r"$-$1.5 $\geq$ é\texttt{U+202E}\texttt{U+1F600}  "


@given(st.text())
def test_nothing_that_tex_reads_as_a_command_is_left(text: str) -> None:
    left = escape(text)
    for written in sorted({*SPECIAL.values(), *SIGNS.values()}, key=len, reverse=True):
        left = left.replace(written, "x")
    left = re.sub(r"\\texttt\{U\+[0-9A-F]{4,6}\}", "", left)
    assert "--" not in left
    left = left.replace("-{}-", "").replace("{}-", "")
    assert not set(left) & set("\\{}$&#%_^~")
    assert all(" " <= one <= "~" or LETTERS.match(one) for one in left)


def test_the_best_and_what_is_not_significantly_worse_are_bold(
    session: Session, actor: Actor, client: TestClient
) -> None:
    state = read_state(session, actor, three_runs(session, actor, client))
    table = latex_table(state)
    assert [run.key for run in state.runs] == ["imported-good", "imported-middling", "imported-poor-model"]
    bold = [("\\textbf{" in line) for line in lines(table)]
    assert bold == [True, True, False]
    assert re.search(r"\\textbf\{91\.7\}.{0,12}\{\\scriptsize \(?81\.9\\textendash\{\}96\.4\)?\}", table)
    assert "exact McNemar test against the best run" in table
    assert "corrected by Holm for 2 comparisons" in table
    assert "Scores on 60 test items" in table
    assert "poor\\_model" in table
    assert r"\label{tab:classification" in table


def test_nothing_is_bold_where_no_run_is_significantly_worse(
    session: Session, actor: Actor, client: TestClient
) -> None:
    made = experiment(session, actor, client)
    near = [imported(client, made, f"near {n}", answers("classification", range(n, 50))) for n in range(3)]
    table = latex_table(read_state(session, actor, near))
    assert "\\textbf" not in table
    assert "none is set in bold" in table
    alone = latex_table(read_state(session, actor, near[:1]))
    assert "McNemar" not in alone
    assert "\\textbf" not in alone


def test_seeds_stand_together_with_their_spread(session: Session, actor: Actor, client: TestClient) -> None:
    made = experiment(session, actor, client)
    runs = [imported(client, made, f"s{n}", answers("classification", range(n * 4, 55))) for n in (1, 2, 3)]
    as_seeds(session, runs)
    table = latex_table(read_state(session, actor, runs))
    body = lines(table)
    assert len(body) == 4
    assert [line.split(" & ")[1] for line in body[:3]] == ["1", "2", "3"]
    # 51, 47 and 43 of 60: mean 78.3 %, sample standard deviation 6.7 points.
    assert r"\emph{mean of 3} & " in body[3]
    assert "78.3" in body[3]
    assert r"{\scriptsize SD 6.7}" in body[3]
    assert "Intervals are over items; SD is over seeds." in table


def as_seeds(session: Session, runs: Sequence[int]) -> None:
    """Makes imported runs seeds 1, 2, ... of one model."""
    for seed, run_id in enumerate(runs, 1):
        run = session.get_one(Run, run_id)
        run.model, run.seed = "starter/tiny", seed
        session.add(run)
    session.commit()


def test_settings_of_one_model_are_lines_of_their_own(
    session: Session, actor: Actor, client: TestClient
) -> None:
    made = experiment(session, actor, client)
    runs = [
        imported(client, made, f"s{n}", answers("classification", range(n * 4, 55))) for n in (1, 2, 3, 4)
    ]
    as_seeds(session, runs)
    for run_id, variant in zip(
        runs, ["10 % of train", "10 % of train", "100 % of train", "100 % of train"], strict=True
    ):
        run = session.get_one(Run, run_id)
        run.variant, run.seed = variant, run_id % 2 + 1
    session.commit()
    body = [line for line in lines(latex_table(read_state(session, actor, runs))) if " & " in line]
    assert [r"\emph{mean of 2}" in line for line in body] == [False, False, True] * 2
    # The name stands on the first line of each.
    assert [re.search(r"(\d+) \\% of train", body[place])[1] for place in (0, 3)] == ["10", "100"]


@pytest.mark.slow
def test_a_real_tex_takes_every_table_and_every_letter(
    session: Session, actor: Actor, client: TestClient, tmp_path: Path
) -> None:
    letters = [chr(code) for code in range(0xC0, 0x180) if LETTERS.match(chr(code)) and chr(code) not in RARE]
    printable = [chr(code) for code in range(0x20, 0x7F)]
    text = "\n\n".join(
        escape(" ".join([*printable, *letters, *SIGNS]) + end) for end in ("", "?`!` --- <<>>")
    )
    tables = []
    for task in ("classification", "number", "list", "json", "text"):
        tables.append(latex_table(read_state(session, actor, three_runs(session, actor, client, task))))
    said = tex(text + "\n" + "\n".join(tables), tmp_path)
    assert "multiply defined" not in said
    assert "Missing character" not in said
    for options in ("10pt", "11pt", "12pt", "10pt,twocolumn"):
        said = tex("\n".join(tables), tmp_path, options)
        assert "Overfull" not in said, options


@pytest.mark.slow
def test_a_wide_table_fits_the_page(
    session: Session, actor: Actor, client: TestClient, tmp_path: Path
) -> None:
    runs = three_runs(session, actor, client, leaked=7)
    as_seeds(session, runs)
    table = latex_table(read_state(session, actor, runs))
    assert r"\shortstack[r]{Accuracy\\unseen, \%}" in table
    # With leak-free scores the intervals stand below their values.
    assert r"\\[-2pt]{\scriptsize " in table
    for options in ("10pt", "12pt", "10pt,twocolumn"):
        assert "Overfull" not in tex(table, tmp_path, options), options


@pytest.mark.slow
def test_bibtex_takes_the_references(
    session: Session, actor: Actor, client: TestClient, tmp_path: Path
) -> None:
    if not shutil.which("bibtex"):
        pytest.skip("no BibTeX on this machine (Debian: texlive-binaries): references are not compiled")
    runs = ",".join(map(str, three_runs(session, actor, client)))
    references = client.get(f"{API}/comparisons/paper?runs={runs}").json()["references.bib"]
    (tmp_path / "references.bib").write_text(references)
    tex(r"x\nocite{*}\bibliographystyle{plain}\bibliography{references}", tmp_path)
    done = subprocess.run(["bibtex", "paper"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert "error message" not in done.stdout
    said = tex(r"x\nocite{*}\bibliographystyle{plain}\bibliography{references}", tmp_path)
    assert "undefined" not in said.lower().replace("no undefined", "")
