"""Every algorithm on the tiny model: through its own command, and stopped just before its first step."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from declared import DECLARED
from declared_online import RUN
from rows import ROWS, SAMPLED, prompts
from torch import Tensor

from charter import api
from charter.catalogue import ENTRIES
from charter.cli.train import TrainGroup
from charter.models.load import load
from charter.pipeline.recipe import train_options
from charter.pipeline.training import TrainRequest, train
from charter.records import group_from_json, group_to_json, write_groups
from charter.rundir import read_jsonl, sha256_json
from charter.training.batch import MicroBatch
from charter.training.loop import Loop
from charter.training.rollouts import RolloutSource
from charter.types import Group, Judgement, PairTarget

STEPS = 20
KEPT = 2
"""Groups of a round that are recorded."""

COMMON: dict[str, Any] = {
    "learning_rate": 1e-3,
    "max_steps": STEPS,
    "per_device_train_batch_size": 4,
    "bf16": False,
    "save_steps": 1000,
}


@dataclass
class Workshop:
    """Where everything is.

    Attributes:
        model: the tiny model's folder.
        root: everything else goes below it.
        done: metrics of each algorithm's run, by its name.
    """

    model: str
    root: Path
    done: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def data(self, name: str) -> Path:
        """The file of rows that an algorithm trains on."""
        key = DECLARED[name].rows or ENTRIES[name].data
        path = self.root / f"{key.replace(' ', '-')}.jsonl"
        if not path.exists() and key == SAMPLED:
            self._sample(path)
        elif not path.exists():
            path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[key]()), encoding="utf-8")
        return path

    def _sample(self, path: Path) -> None:
        """Pairs of answers with the log-probs of the policy that sampled them."""
        policy = load(self.model, bf16=False)
        groups = api.sample(policy, prompts(), num_generations=2, max_completion_length=8)
        said = Judgement(PairTarget(0, 1), 1.0)
        write_groups(path, [group.with_judgements(said) for group in groups])

    def run(self, name: str) -> Path:
        """The run directory of ``charter train NAME``, trained on first use."""
        directory = self.root / "runs" / name
        if name not in self.done:
            arguments = [name, "--model", self.model, "--data", str(self.data(name))]
            arguments += ["--output-dir", str(directory), *flags(options(name))]
            with contextlib.redirect_stdout(io.StringIO()):
                TrainGroup().main(arguments, prog_name="charter train", standalone_mode=False)
            self.done[name] = metrics(directory)
        return directory

    def losses(self, name: str) -> list[float]:
        """The loss of every step of that run."""
        self.run(name)
        return [row["loss"] for row in self.done[name]]

    def sampled(self, name: str) -> list[str]:
        """A digest of what each round of that run sampled; none where it trains on a data set."""
        rounds: dict[int, list[str]] = {}
        for row in read_jsonl(self.run(name) / "samples.jsonl"):
            rounds.setdefault(row["round"], []).append(row["completion"])
        return [sha256_json(rounds[number])[:12] for number in sorted(rounds)]

    def comparable(self, name: str, sampled: Sequence[str]) -> int:
        """Steps of that run before a round that sampled something else than ``sampled`` says.

        A number that falls on the edge between two tokens may fall on the other side on another
        processor, and from there on it is another run.
        """
        same = 0
        for own, other in zip(self.sampled(name), sampled, strict=False):
            if own != other:
                break
            same += 1
        rows = self.done[name]
        return sum(row.get("rollouts/round", 0) <= same for row in rows) if sampled else len(rows)

    def round_to_record(self, name: str) -> dict[str, Any]:
        """A part of the first round that an algorithm samples, and :meth:`loss_of` it."""
        made = [group_to_json(group) for group in groups_of(self.loop(name))[:KEPT]]
        rows = json.loads(json.dumps(made), parse_float=lambda text: float(f"{float(text):.6g}"))
        return {"loss": self.loss_of(name, rows), "groups": rows}

    def loss_of(self, name: str, rows: Sequence[dict[str, Any]]) -> float:
        """The loss of a step of recorded groups, at weights near the first, where it is no constant."""
        loop, groups = self.loop(name), [group_from_json(row) for row in rows]
        nudge(loop)
        return loss_and_gradient(loop, [MicroBatch.of(groups, loop.columns)])[0]

    def loop(self, name: str, changes: Mapping[str, Any] | None = None, data: Path | None = None) -> Loop:
        """The loop of that run, or of one on ``data``, before the first step; its reference is scored."""
        settings = train_options(name, options(name, changes or {}), name)
        request = TrainRequest(name, settings, str(data or self.data(name)), resume="never")
        number = len(list(self.root.glob("loops/*")))
        with mock.patch.object(Loop, "run", _stop), contextlib.redirect_stdout(io.StringIO()):
            try:
                train(request, load(self.model, bf16=False), self.root / "loops" / str(number))
            except _Stopped as found:
                loop = found.loop
        loop.directory.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        loop.score_reference()
        return loop


def options(name: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Options of an algorithm's run here; those that are None are left out."""
    online = RUN if ENTRIES[name].rollouts else {}
    found = {**COMMON, **online, **DECLARED[name].options, **(changes or {})}
    return {key: value for key, value in found.items() if value is not None}


def flags(values: Mapping[str, Any]) -> list[str]:
    """Options as a person types them."""
    typed: list[str] = []
    for key, value in values.items():
        dashed = key.replace("_", "-")
        if isinstance(value, bool):
            typed.append(f"--{dashed}" if value else f"--no-{dashed}")
        elif isinstance(value, (list, tuple)):
            typed += [part for item in value for part in (f"--{dashed}", str(item))]
        else:
            typed += [f"--{dashed}", str(value)]
    return typed


def metrics(directory: Path) -> list[dict[str, float]]:
    """The rows of a run's metrics.jsonl."""
    lines = (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


class _Stopped(Exception):
    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        super().__init__("before the first step")


def _stop(loop: Loop, resume: str = "auto") -> None:
    raise _Stopped(loop)


# -- a loss and its gradient, at some weights -----------------------------------------------


def groups_of(loop: Loop) -> list[Group]:
    """What a step is trained on: all the data, or a round of rollouts of the policy as it is.

    Rollouts carry the log-probs they were sampled with, so that their ratios may leave 1.
    """
    if not isinstance(loop.source, RolloutSource):
        return list(loop.groups)
    return [_with_old_logps(group) for group in loop.source.step(0)]


def _with_old_logps(group: Group) -> Group:
    samples = [
        s if s.credit is None else replace(s, credit=replace(s.credit, old_logps=s.completion.logps))
        for s in group.samples
    ]
    return replace(group, samples=tuple(samples))


@torch.no_grad()
def nudge(loop: Loop, scale: float = 0.01) -> None:
    """Move the weights away from the reference, where gradients are not special."""
    generator = torch.Generator().manual_seed(7)
    for parameter in loop.state.parameters().values():
        parameter.add_(scale * torch.randn(parameter.shape, generator=generator))


def loss_and_gradient(loop: Loop, batches: Sequence[MicroBatch]) -> tuple[float, dict[str, Tensor]]:
    """The loss of a step and its gradient; nothing is learned or remembered."""
    memory = [(o, o.state()) for o in loop.state.remembering]
    loss = loop.stepper._accumulate(batches)["loss"]
    found = {n: p.grad.clone() for n, p in loop.state.parameters().items() if p.grad is not None}
    loop.optimizer.zero_grad(set_to_none=True)
    for objective, state in memory:
        objective.load_state(state)
    return loss, found
