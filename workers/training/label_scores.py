"""The log-probability of each label after each prompt, all labels at once. Used by engine.py.

The labels' tokens form a tree in which labels share their beginnings. The model reads the tree once behind each prompt:
a mask lets every token see the prompt and the tokens that lead to it, nothing else.
"""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .generation import Answered, Prefix, forward, go_on, positions

if TYPE_CHECKING:
    import torch

# Numbers that the last layer may make at once: 256 MB in fp32. More labels are read as several trees.
LOGITS_AT_ONCE = 2**26
ROOT = -1
Step = tuple[int, int]


@dataclass(frozen=True)
class Tree:
    """Beginnings of labels: each node's token, its parent (ROOT for none) and how deep it lies (from 0). `steps` are
    for each label the (node, next token) pairs whose probabilities make up its own."""

    tokens: list[int]
    parents: list[int]
    depths: list[int]
    nodes: dict[Step, int]
    steps: list[list[Step]]


def make_tree(labels: list[list[int]]) -> Tree:
    """The tree of all labels; a label's last token is only foretold, never read."""
    tree = Tree([], [], [], {}, [])
    for label in labels:
        place, steps = ROOT, []
        for depth, token in enumerate(label):
            steps.append((place, token))
            if depth == len(label) - 1:
                break
            if (place, token) not in tree.nodes:
                tree.nodes[place, token] = len(tree.tokens)
                tree.tokens.append(token)
                tree.parents.append(place)
                tree.depths.append(depth)
            place = tree.nodes[place, token]
        tree.steps.append(steps)
    return tree


class LabelReader:
    """Reads labels behind a batch of prompts.

    `scores` are log-probabilities (prompts, labels), natural, fp64, each label's end included. `answers` are the greedy
    answers of the prompts for which the most probable tokens never leave the labels: nothing need be generated for
    those.
    """

    def __init__(
        self, model: Any, prefix: Prefix, labels: list[list[int]], ends: set[int], most: int
    ) -> None:
        import torch

        self.model, self.prefix, self.ends, self.most = model, prefix, ends, most
        self.answers: dict[int, Answered] = {}
        self.scores = torch.empty((len(prefix.mask), len(labels)), dtype=torch.float64)
        order = sorted(range(len(labels)), key=labels.__getitem__)
        for group in groups([len(labels[number]) for number in order], self._room()):
            numbers = [order[place] for place in group]
            self.scores[:, numbers] = self._tree(make_tree([labels[number] for number in numbers]))

    def _room(self) -> int:
        return max(1, LOGITS_AT_ONCE // self.prefix.next_logits.numel())

    def _tree(self, tree: Tree) -> "torch.Tensor":
        import torch

        every = sorted({step for steps in tree.steps for step in steps})
        logits = [self.prefix.next_logits.unsqueeze(1)]
        if tree.tokens:
            logits.append(read_tree(self.model, self.prefix, tree))
        parts, best = [], []
        for first, part in zip((ROOT, 0), logits, strict=False):
            total = part.logsumexp(-1)
            steps = [step for step in every if (step[0] == ROOT) == (first == ROOT)]
            places = torch.tensor([node - first for node, _ in steps], device=part.device)
            wanted = torch.tensor([token for _, token in steps], device=part.device)
            parts.append((part[:, places, wanted] - total[:, places]).double().cpu())
            chance, token = part.max(-1)
            best.append((token.cpu(), (chance - total).cpu()))
        self._follow(tree, *(torch.cat(side, dim=1).tolist() for side in zip(*best, strict=True)))
        chances = torch.cat(parts, dim=1)
        number = {step: place for place, step in enumerate(every)}
        return torch.stack(
            [chances[:, [number[step] for step in steps]].sum(-1) for steps in tree.steps], dim=1
        )

    def _follow(self, tree: Tree, tokens: list[list[int]], logprobs: list[list[float]]) -> None:
        """Goes down the tree by the most probable token, prompt by prompt; rows begin with the root."""
        for row, (best, chances) in enumerate(zip(tokens, logprobs, strict=True)):
            place: int | None = ROOT
            answer: list[int] = []
            total = 0.0
            while place is not None and row not in self.answers:
                token = best[place + 1]
                total += chances[place + 1]
                if token not in self.ends:
                    answer.append(token)
                if token in self.ends or len(answer) == self.most:
                    self.answers[row] = Answered(answer, total)
                place = tree.nodes.get((place, token))


def groups(lengths: list[int], most: int) -> list[range]:
    """Labels in a row that read at most `most` tokens together, at least one label each time."""
    found, start, held = [], 0, 0
    for place, length in enumerate(lengths):
        if place > start and held + length - 1 > most:
            found.append(range(start, place))
            start, held = place, 0
        held += length - 1
    return [*found, range(start, len(lengths))]


def read_tree(model: Any, prefix: Prefix, tree: Tree) -> "torch.Tensor":
    """Logits (prompts, nodes, vocabulary) after each node; the prefix stays as it was."""
    import torch

    rows, device, count = len(prefix.mask), prefix.mask.device, len(tree.tokens)
    seen = torch.eye(count, dtype=torch.bool)
    for node, parent in enumerate(tree.parents):
        if parent != ROOT:
            seen[node] |= seen[parent]
    prompt = prefix.mask.bool()[:, None, :].expand(-1, count, -1)
    visible = torch.cat([prompt, seen.to(device).expand(rows, -1, -1)], dim=-1).unsqueeze(1)
    dtype = model.dtype
    mask = torch.zeros(visible.shape, dtype=dtype, device=device)
    after = positions(prefix.mask, prefix.shared)[:, -1:] + 1
    output = forward(
        model,
        prefix.shared,
        input_ids=torch.tensor([tree.tokens] * rows, device=device),
        attention_mask=mask.masked_fill_(~visible, torch.finfo(dtype).min),
        position_ids=after + torch.tensor(tree.depths, device=device),
        past_key_values=prefix.cache,
    )
    prefix.cache.crop(-count)
    logits: torch.Tensor = output.logits.float()
    return logits


def score_one_by_one(model: Any, prefix: Prefix, labels: list[list[int]]) -> "torch.Tensor":
    """The same scores by the plainest means, a label at a time: for models that do not heed the tree's mask."""
    import torch

    first = prefix.next_logits.log_softmax(-1)
    scores = torch.empty((len(first), len(labels)), dtype=torch.float64)
    for column, tokens in enumerate(labels):
        total = first[:, tokens[0]].double()
        if len(tokens) > 1:
            fed = torch.tensor([tokens[:-1]] * len(first), device=first.device)
            kept = replace(prefix, cache=deepcopy(prefix.cache))
            logits = go_on(model, kept, fed)[1].log_softmax(-1)
            wanted = torch.tensor([tokens[1:]] * len(first), device=first.device)
            total = total + logits.gather(-1, wanted.unsqueeze(-1)).squeeze(-1).double().sum(-1)
        scores[:, column] = total.cpu()
    return scores
