"""The one door to the optional package ``inspect_ai``.

Raises:
    EnvironmentFault: on import, where the package is missing or too old.
"""

from __future__ import annotations

from charter.errors import EnvironmentFault

try:
    from inspect_ai import Task, __version__, task
    from inspect_ai.dataset import MemoryDataset
    from inspect_ai.dataset import Sample as TaskSample
    from inspect_ai.log import (
        EvalConfig,
        EvalDataset,
        EvalLog,
        EvalMetric,
        EvalPlan,
        EvalPlanStep,
        EvalResults,
        EvalSample,
        EvalScore,
        EvalSpec,
        EvalStats,
        read_eval_log,
        read_eval_log_sample,
        read_eval_log_sample_summaries,
        write_eval_log,
    )
    from inspect_ai.model import (
        ChatCompletionChoice,
        ChatMessage,
        ChatMessageAssistant,
        ChatMessageSystem,
        ChatMessageTool,
        ChatMessageUser,
        GenerateConfig,
        Logprob,
        Logprobs,
        Model,
        ModelAPI,
        ModelOutput,
        ModelUsage,
        modelapi,
    )
    from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
    from inspect_ai.solver import Generate, Solver, TaskState, solver
except ImportError as error:
    raise EnvironmentFault(
        f"Inspect is not installed, or not a version that Charter knows ({error})",
        fix="pip install 'charter[inspect]'",
    ) from error

__all__ = [
    "ChatCompletionChoice",
    "ChatMessage",
    "ChatMessageAssistant",
    "ChatMessageSystem",
    "ChatMessageTool",
    "ChatMessageUser",
    "EvalConfig",
    "EvalDataset",
    "EvalLog",
    "EvalMetric",
    "EvalPlan",
    "EvalPlanStep",
    "EvalResults",
    "EvalSample",
    "EvalScore",
    "EvalSpec",
    "EvalStats",
    "Generate",
    "GenerateConfig",
    "Logprob",
    "Logprobs",
    "MemoryDataset",
    "Model",
    "ModelAPI",
    "ModelOutput",
    "ModelUsage",
    "Score",
    "Scorer",
    "Solver",
    "Target",
    "Task",
    "TaskSample",
    "TaskState",
    "__version__",
    "mean",
    "modelapi",
    "read_eval_log",
    "read_eval_log_sample",
    "read_eval_log_sample_summaries",
    "scorer",
    "solver",
    "stderr",
    "task",
    "write_eval_log",
]
