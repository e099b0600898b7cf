"""Toolkits: programs of others that train from a configuration. One file each, named like the trainer in app/trainers.

A file has, as module-level functions and constants:

- PACKAGES: the packages whose versions are worth keeping, by their names on PyPI;
- prepare(job, base): writes the data in the toolkit's own shape into `data(job)`; `base` is the base model's folder or
  its name on the Hub. Raises Failure where the toolkit could not use them;
- command(job): what trains, as an argv list; it runs in the bundle's folder and writes to `work(job)`;
- variables(job): what it needs in its environment beside VARIABLES of _run.py;
- read(line): a Step, where the line of its output tells one, else None; PROGRESS_FILE, relative to `work(job)`, names the
  file whose lines are read, "" for the program's own output;
- collect(job): moves the weights to out/adapter or out/model, whole or not at all. Raises Failure where it left none;
- export(job), only where it has one: what writes a whole model to `work(job)`/merged once the weights are there, as an argv
  list, [] where that is not asked for; it becomes out/merged;
- resolved(job): what it says that it ran with, {its own key, dotted: value};
- predict(job, reporter, base, values): answers the test items with those weights.
"""

from ._run import run

__all__ = ["run"]
