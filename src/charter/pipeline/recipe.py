"""A recipe: a model, a constitution, and the stages to run, as strict YAML.

    name: quickstart
    model: smollm2-135m
    constitution: quickstart.constitution.md
    stages:
      - sample: {prompts: train.jsonl, num_generations: 8}
      - judge: {}
      - compare: {}
      - train: {algorithm: dpo, beta: 0.3}
      - evaluate: {prompts: heldout.jsonl}
      - report: {}

Paths are relative to the recipe. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from charter.catalogue import ENTRIES, TrainOptions, lookup
from charter.catalogue.distillation import DistillationOptions
from charter.catalogue.from_trl import explain_trl
from charter.config import Config, read_yaml, validate
from charter.data.teacher_context import resolved
from charter.environments.tasks import is_task_spec
from charter.errors import ConfigError, did_you_mean
from charter.pipeline.stage_models import check_names
from charter.pipeline.stage_options import STAGES, TrainStage


class RecipeHead(Config):
    """Everything but the stages."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the recipe; the run directory is called after it."""
    model: str = "smollm2-135m"
    """A known name, a hub id, or a folder."""
    constitution: str | None = None
    """The constitution file."""
    bf16: bool = True
    """Compute in bfloat16."""
    threads: int | None = Field(None, ge=1)
    """Torch threads; None = torch's own choice: one per usable core, or OMP_NUM_THREADS."""


class Recipe:
    """A validated recipe.

    Attributes:
        head: name, model, constitution, compute.
        stages: ``(kind, options)`` in order.
        options: of each train stage, by stage number (1-based).
        path: the file it was read from.
    """

    def __init__(
        self,
        head: RecipeHead,
        stages: list[tuple[str, Any]],
        options: dict[int, TrainOptions],
        path: Path,
    ) -> None:
        self.head, self.stages, self.options, self.path = head, stages, options, path

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read and validate a recipe file.

        Raises:
            ConfigError: what is wrong, where, and the nearest known key.
        """
        path = Path(path)
        return cls.parse(read_yaml(path), path)

    @classmethod
    def parse(cls, values: Mapping[str, Any], path: Path) -> Recipe:
        """Validate a recipe given as plain values."""
        where = str(path)
        values = dict(values)
        written = values.pop("stages", None)
        if not isinstance(written, list) or not written:
            raise ConfigError(
                "a recipe needs a list of stages", where=where, fix="see recipes/quickstart.yaml"
            )
        known = [*RecipeHead.model_fields, "stages"]
        for key in values:
            if key not in known:
                raise ConfigError(f"unknown key {key!r}; {did_you_mean(str(key), known)}", where=where)
        head = validate(RecipeHead, values, where=where)
        stages: list[tuple[str, Any]] = []
        options: dict[int, TrainOptions] = {}
        for number, item in enumerate(written, start=1):
            kind, stage = _stage(item, f"{where}: stage {number}")
            stages.append((kind, stage))
            if isinstance(stage, TrainStage):
                given = train_options(stage.algorithm, stage.given, f"{where}: stage {number} (train)")
                if isinstance(given, DistillationOptions):
                    given = resolved(given, path.parent)
                options[number] = given
        _check_order(stages, head, where)
        return cls(head, stages, options, path)

    def file(self, name: str) -> Path:
        """A path written in the recipe."""
        path = Path(name).expanduser()
        return path if path.is_absolute() else self.path.parent / path

    def source(self, name: str) -> str:
        """A path written in the recipe, or a spec of tasks as it is."""
        return name if is_task_spec(name) else str(self.file(name))

    def starts_from_a_stage(self) -> bool:
        """Whether some stage trains on from a model that an earlier one made."""
        return any(kind == "train" and stage.model is not None for kind, stage in self.stages)

    def model_source(self, name: str | None = None) -> str:
        """What to load for a model written in the recipe (None = its own): a folder beside it, or a name."""
        written = name or self.head.model
        beside = self.file(written)
        there = any((beside / file).exists() for file in ("config.json", "adapter_config.json"))
        return str(beside) if there else written


def train_options(algorithm: str, given: Mapping[str, Any], where: str) -> TrainOptions:
    """Validate an algorithm's options; a TRL name that means something else here is explained."""
    entry = lookup(algorithm, where=where)
    schema = entry.options
    if given.get("preset") == "paper":
        if not entry.paper_settings:
            raise ConfigError(f"preset: {algorithm} has no published settings of its own", where=where)
        published = dict(entry.paper_settings)
        if given.get("max_steps", -1) != -1:  # it decides, not the published passes
            published.pop("num_train_epochs", None)
        given = {**published, **given}
    for key in given:
        if key not in schema.model_fields and (reason := explain_trl(key, algorithm)):
            raise ConfigError(f"{key}: {reason}", where=where)
    options = validate(schema, dict(given), where=where)
    if entry.trains == "reward" and options.max_kl is not None:
        raise ConfigError(
            f"max_kl has no effect on {algorithm}: a reward model samples nothing", where=f"{where}: max_kl"
        )
    return options


def json_schema() -> dict[str, Any]:
    """JSON Schema of a recipe file, for editors."""
    head = RecipeHead.model_json_schema()
    stages = []
    for kind, model in STAGES.items():
        if model is TrainStage:
            stages += [_train_schema(name) for name in ENTRIES]
        else:
            stages.append(_one_key(kind, model.model_json_schema()))
    properties = {
        **head["properties"],
        "stages": {"type": "array", "minItems": 1, "items": {"oneOf": stages}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Charter recipe",
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "stages"],
        "properties": properties,
    }


def _train_schema(name: str) -> dict[str, Any]:
    schema = ENTRIES[name].options.model_json_schema()
    fixed = TrainStage.model_json_schema()["properties"]
    fixed["algorithm"] = {"const": name}
    schema["properties"] = {**fixed, **schema["properties"]}
    schema["required"] = ["algorithm"]
    return _one_key("train", schema)


def _one_key(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [kind],
        "properties": {kind: schema},
    }


def _stage(item: Any, where: str) -> tuple[str, Any]:
    if isinstance(item, str):
        item = {item: {}}
    if not isinstance(item, dict) or len(item) != 1:
        raise ConfigError("a stage is one key, e.g. `- judge: {}`", where=where)
    ((kind, options),) = item.items()
    if kind not in STAGES:
        raise ConfigError(f"no stage {kind!r}; {did_you_mean(str(kind), STAGES)}", where=where)
    return kind, validate(STAGES[kind], options or {}, where=f"{where} ({kind})")


_NEEDS: dict[str, tuple[str, ...]] = {
    "judge": ("sample",),
    "compare": ("judge",),
    "evaluate": (),
    "report": ("evaluate",),
}


def _check_source(stage: TrainStage, seen: set[str], place: str) -> None:
    """A train stage without data trains on the pairs made before it, or on what an environment makes."""
    entry = ENTRIES.get(stage.algorithm)
    if entry is not None and entry.rollouts is not None:
        if "environment" not in stage.given:
            raise ConfigError(f"{entry.name} needs `data` (prompts), or an environment", where=place)
    elif "revise" in seen:
        if "compare" in seen:
            raise ConfigError("compare and revise both make data: name it in `data`", where=place)
        if entry is not None and entry.data not in ("sft", "preference"):
            raise ConfigError(f"revise makes no data for {entry.name}", where=place)
    elif "compare" not in seen:
        raise ConfigError("train needs `data`, or compare or revise before it", where=place)


def _check_order(stages: list[tuple[str, Any]], head: RecipeHead, where: str) -> None:
    """A stage that needs another must come after it."""
    check_names(stages, where)
    seen: set[str] = set()
    for number, (kind, stage) in enumerate(stages, start=1):
        place = f"{where}: stage {number} ({kind})"
        # Two reward models of different principles want pairs of their own: a train stage takes the last.
        if kind in seen and kind not in ("train", "review", "compare"):
            raise ConfigError(f"{kind} appears twice; one of each in a recipe", where=place)
        for need in _NEEDS.get(kind, ()):
            if need not in seen:
                raise ConfigError(f"{kind} needs {need} before it", where=place)
        if kind == "train" and stage.data is None:
            _check_source(stage, seen, place)
        if kind in ("judge", "evaluate", "revise") and head.constitution is None:
            raise ConfigError(f"{kind} needs a constitution", where=where, fix="add `constitution: FILE`")
        if kind == "sample" and stage.guided and head.constitution is None:
            raise ConfigError("guided needs a constitution", where=place)
        seen.add(kind)
