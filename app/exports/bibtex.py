"""BibTeX of what a comparison used: toolkits by what the runs recorded, methods, the models and the data."""

import re
from collections.abc import Iterable

from app.catalog.models import hub_name, toolkits
from app.exports.latex import escape, label_of
from app.exports.methods import packages_of
from app.exports.state import PaperRun, PaperState
from app.preferences import was_dpo

# Entries as their authors ask for them; each is taken when a run recorded the package.
TOOLKITS = {
    "scikit-learn": """@article{scikit-learn,
  title = {Scikit-learn: Machine Learning in {P}ython},
  author = {Pedregosa, F. and Varoquaux, G. and Gramfort, A. and Michel, V. and Thirion, B. and Grisel, O. and Blondel, M. and Prettenhofer, P. and Weiss, R. and Dubourg, V. and Vanderplas, J. and Passos, A. and Cournapeau, D. and Brucher, M. and Perrot, M. and Duchesnay, E.},
  journal = {Journal of Machine Learning Research},
  volume = {12},
  pages = {2825--2830},
  year = {2011}
}""",
    "numpy": """@article{numpy,
  title = {Array programming with {NumPy}},
  author = {Harris, Charles R. and Millman, K. Jarrod and van der Walt, St{\\'e}fan J. and others},
  journal = {Nature},
  volume = {585},
  pages = {357--362},
  year = {2020},
  doi = {10.1038/s41586-020-2649-2}
}""",
    "scipy": """@article{scipy,
  title = {{SciPy} 1.0: Fundamental Algorithms for Scientific Computing in {P}ython},
  author = {Virtanen, Pauli and Gommers, Ralf and Oliphant, Travis E. and others},
  journal = {Nature Methods},
  volume = {17},
  pages = {261--272},
  year = {2020},
  doi = {10.1038/s41592-019-0686-2}
}""",
    "torch": """@inproceedings{pytorch,
  title = {{PyTorch}: An Imperative Style, High-Performance Deep Learning Library},
  author = {Paszke, Adam and Gross, Sam and Massa, Francisco and Lerer, Adam and Bradbury, James and Chanan, Gregory and others},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {32},
  year = {2019}
}""",
    "transformers": """@inproceedings{transformers,
  title = {Transformers: State-of-the-Art Natural Language Processing},
  author = {Wolf, Thomas and Debut, Lysandre and Sanh, Victor and Chaumond, Julien and Delangue, Clement and others},
  booktitle = {Proceedings of the 2020 Conference on Empirical Methods in Natural Language Processing: System Demonstrations},
  pages = {38--45},
  year = {2020},
  doi = {10.18653/v1/2020.emnlp-demos.6}
}""",
    "trl": """@misc{trl,
  title = {{TRL}: Transformer Reinforcement Learning},
  author = {von Werra, Leandro and Belkada, Younes and Tunstall, Lewis and Beeching, Edward and Thrush, Tristan and Lambert, Nathan and others},
  year = {2020},
  howpublished = {\\url{https://github.com/huggingface/trl}}
}""",
    "peft": """@misc{peft,
  title = {{PEFT}: State-of-the-art Parameter-Efficient Fine-Tuning methods},
  author = {Mangrulkar, Sourab and Gugger, Sylvain and Debut, Lysandre and Belkada, Younes and Paul, Sayak and Bossan, Benjamin},
  year = {2022},
  howpublished = {\\url{https://github.com/huggingface/peft}}
}""",
}
LORA = """@inproceedings{lora,
  title = {{LoRA}: Low-Rank Adaptation of Large Language Models},
  author = {Hu, Edward J. and Shen, Yelong and Wallis, Phillip and Allen-Zhu, Zeyuan and Li, Yuanzhi and Wang, Shean and Wang, Lu and Chen, Weizhu},
  booktitle = {International Conference on Learning Representations},
  year = {2022}
}"""
# What an adapter was besides: by hyperparameter and the value that ran.
ADAPTERS = {
    ("use_dora", True): """@inproceedings{dora,
  title = {{DoRA}: Weight-Decomposed Low-Rank Adaptation},
  author = {Liu, Shih-Yang and Wang, Chien-Yi and Yin, Hongxu and Molchanov, Pavlo and Wang, Yu-Chiang Frank and Cheng, Kwang-Ting and Chen, Min-Hung},
  booktitle = {International Conference on Machine Learning},
  year = {2024}
}""",
    ("use_rslora", True): """@misc{rslora,
  title = {A Rank Stabilization Scaling Factor for Fine-Tuning with {LoRA}},
  author = {Kalajdzievski, Damjan},
  year = {2023},
  eprint = {2312.03732},
  archivePrefix = {arXiv}
}""",
    ("quantization", "4bit"): """@inproceedings{qlora,
  title = {{QLoRA}: Efficient Finetuning of Quantized {LLMs}},
  author = {Dettmers, Tim and Pagnoni, Artidoro and Holtzman, Ari and Zettlemoyer, Luke},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {36},
  year = {2023}
}""",
    ("quantization", "8bit"): """@inproceedings{llmint8,
  title = {{LLM.int8()}: 8-bit Matrix Multiplication for Transformers at Scale},
  author = {Dettmers, Tim and Lewis, Mike and Belkada, Younes and Zettlemoyer, Luke},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {35},
  year = {2022}
}""",
}
DPO = """@inproceedings{dpo,
  title = {Direct Preference Optimization: Your Language Model is Secretly a Reward Model},
  author = {Rafailov, Rafael and Sharma, Archit and Mitchell, Eric and Manning, Christopher D. and Ermon, Stefano and Finn, Chelsea},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {36},
  year = {2023}
}"""
STATISTICS = """@article{wilson1927,
  title = {Probable Inference, the Law of Succession, and Statistical Inference},
  author = {Wilson, Edwin B.},
  journal = {Journal of the American Statistical Association},
  volume = {22},
  pages = {209--212},
  year = {1927}
}

@article{efron1987,
  title = {Better Bootstrap Confidence Intervals},
  author = {Efron, Bradley},
  journal = {Journal of the American Statistical Association},
  volume = {82},
  pages = {171--185},
  year = {1987}
}"""
TESTS = """@article{mcnemar1947,
  title = {Note on the Sampling Error of the Difference between Correlated Proportions or Percentages},
  author = {McNemar, Quinn},
  journal = {Psychometrika},
  volume = {12},
  pages = {153--157},
  year = {1947}
}

@article{holm1979,
  title = {A Simple Sequentially Rejective Multiple Test Procedure},
  author = {Holm, Sture},
  journal = {Scandinavian Journal of Statistics},
  volume = {6},
  pages = {65--70},
  year = {1979}
}

@article{tango1998,
  title = {Equivalence Test and Confidence Interval for the Difference in Proportions for the Paired-Sample Design},
  author = {Tango, Toshiro},
  journal = {Statistics in Medicine},
  volume = {17},
  pages = {891--908},
  year = {1998}
}"""
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def bibtex(state: PaperState) -> str:
    """The entries: data, models, Tunebook, toolkits, statistics. Only facts that are known stand in them."""
    packages = {name for run in state.runs for name in packages_of(run)}
    models = [run.model for run in state.runs]
    entries = [_data(state), *base_models(models), _tunebook(state)]
    entries += [entry for name, entry in TOOLKITS.items() if name in packages]
    entries += trainers(models)
    if any(map(uses_lora, state.runs)):
        entries.append(LORA)
    entries += adapters(state.runs)
    if any(was_dpo(run.ledger) for run in state.runs):
        entries.append(DPO)
    entries.append(STATISTICS)
    if state.pairs:
        entries.append(TESTS)
    return "\n\n".join(entries) + "\n"


def adapters(runs: Iterable[PaperRun]) -> list[str]:
    """The entries of what was done to the adapters or their base, each once."""
    ran = [{name: row.get("resolved") for name, row in run.ledger.items()} for run in runs]
    return [
        entry for (name, value), entry in ADAPTERS.items() if any(each.get(name) == value for each in ran)
    ]


def uses_lora(run: PaperRun) -> bool:
    """Whether low-rank adapters were trained: a toolkit says so by its method, a service by a rank of its own or by
    keeping what concerns LoRA to itself."""
    if "method" in run.ledger:
        return bool(run.ledger["method"].get("resolved") == "lora")
    hidden = (run.snapshot.get("service") or {}).get("undisclosed") or ()
    return "lora_r" in run.ledger or any(str(name).startswith("LoRA") for name in hidden)


def _data(state: PaperState) -> str:
    return (
        f"@misc{{data-{label_of(state)},\n  title = {{{{{escape(state.dataset.name)}}}}},\n"
        f"  note = {{Data set of {state.dataset.items:,} items, SHA-256 \\texttt{{{state.dataset.sha256}}}}}\n}}"
    )


def base_models(models: Iterable[str]) -> list[str]:
    """One entry for each model of the Hub that was trained, by whichever trainer."""
    entries = []
    for name in sorted({hub_name(model) for model in models}):
        if HUB_NAME.fullmatch(name):
            key = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
            entries.append(
                f"@misc{{model-{key},\n  title = {{{{{escape(name)}}}}},\n"
                f"  howpublished = {{\\url{{https://huggingface.co/{name}}}}}\n}}"
            )
    return entries


def trainers(models: Iterable[str]) -> list[str]:
    """The toolkits that trained, by their own names and versions; TRL has an entry as a package."""
    known = toolkits()
    names = sorted({model.partition("/")[0] for model in models} & set(known) - set(TOOLKITS))
    return [
        f"@misc{{{name},\n  title = {{{{{escape(known[name].label)}}}}},\n"
        f"  note = {{Version {escape(known[name].version)}}},\n"
        f"  howpublished = {{\\url{{{known[name].source}}}}}\n}}"
        for name in names
    ]


def _tunebook(state: PaperState) -> str:
    versions = sorted({str(run.snapshot["code"]) for run in state.runs if run.snapshot.get("code")})
    note = f",\n  note = {{Version {escape(', '.join(versions))}}}" if versions else ""
    return f"@misc{{tunebook,\n  title = {{{{Tunebook}}: the lab notebook for fine-tuned language models}}{note}\n}}"
