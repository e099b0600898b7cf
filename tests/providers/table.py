"""The table of docs/providers.md, made from the providers' own words. `python -m tests.providers.table` rewrites it."""

from app.providers import providers
from app.providers._base import Provider
from tests.source import ROOT

DOCUMENT = ROOT / "docs" / "providers.md"
HEAD = (
    "| Service | Name | Trains | Prompts | Batches | Serving a tuned model | Weights | Found again by | Not disclosed |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)


def table() -> str:
    """One row for each provider, in order of name."""
    return HEAD + "".join(row(each) for _name, each in sorted(providers().items()))


def row(provider: Provider) -> str:
    """What it can do, in few words."""
    training, chat = provider.training, provider.chat
    logprobs = f", {chat.top_logprobs} log-probabilities" if chat and chat.top_logprobs else ""
    cells = (
        f"[{provider.label}]({provider.docs_url})"
        + (" (off until turned on)" if provider.unverified else ""),
        f"`{provider.name}`",
        ", ".join({"sft": "supervised", "dpo": "DPO"}[each] for each in training.methods)
        if training
        else "no",
        f"yes{logprobs}" if chat else "no",
        "yes" if provider.batch else "no",
        "" if training is None else "a deployment, stopped when idle" if provider.deploy else "by its name",
        "returned" if provider.returns_weights else "no",
        training.identity if training else "",
        ", ".join(provider.undisclosed) if training else "",
    )
    return f"| {' | '.join(cells)} |\n"


def notices() -> str:
    """What must be known before launch, one paragraph for each service that has such."""
    return "".join(
        f"- **{each.label}**{f' (ends {each.ends_on})' if each.ends_on else ''}: {each.notice}\n"
        for _name, each in sorted(providers().items())
        if each.notice
    )


def written(document: str) -> str:
    """The document with both lists as they are now."""
    for name, content in (("table", table()), ("notices", notices())):
        before, _, rest = document.partition(f"<!-- {name} -->\n")
        _, mark, after = rest.partition(f"<!-- end of {name} -->\n")
        document = f"{before}<!-- {name} -->\n{content}{mark}{after}"
    return document


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
