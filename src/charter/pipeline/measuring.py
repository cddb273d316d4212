"""An evaluation from a person's options: all of it is checked, then the model is asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import charter
from charter.constitution import Constitution
from charter.data.formats import LoadedData
from charter.data.prepare import prepare
from charter.engines.tuning_free import TuningFree
from charter.errors import UserError
from charter.evaluation.answers.own_tests import Rendered, own_prompts, render_tests
from charter.evaluation.evaluate import Evaluation, evaluate
from charter.evaluation.keep import Keep
from charter.evaluation.rates.adherence import Criteria
from charter.evaluation.rates.planning import EvaluationPlan
from charter.models.pairing import Reference
from charter.models.save import BASE
from charter.pipeline.evaluate_options import EvaluateOptions
from charter.pipeline.evaluating import Given, in_question, open_given, plan_of
from charter.pipeline.evaluation_files import write_evaluation
from charter.pipeline.given_prompts import read_prompts
from charter.progress import say
from charter.rundir import sha256_json

if TYPE_CHECKING:
    from charter.models.policy import Policy


@dataclass(frozen=True)
class Ready:
    """An evaluation that can begin: files are read, names are known, and no model is loaded.

    Attributes:
        law: the constitution, with the principles in question.
        options: what was asked for.
        given: judge, labels, older report, training data.
        prompts: what is asked.
        around: what stands around the model; None = nothing.
        keep: where answers and verdicts are kept; None = nowhere.
    """

    law: Constitution
    options: EvaluateOptions
    given: Given
    prompts: LoadedData
    around: TuningFree | None
    keep: Keep | None

    def plan(self, *, adapter: bool = False) -> EvaluationPlan:
        """What it could show.

        Args:
            adapter: the model is an adapter, which is measured against its base.
        """
        asked = self.options
        paired = adapter or asked.against is not None or self.around is not None
        return plan_of(
            self.law, self.given, self.prompts, num_generations=asked.num_generations, paired=paired
        )


def ready_for(model: str, constitution: Constitution | str | Path, options: EvaluateOptions) -> Ready:
    """Check everything.

    Args:
        model: the model's name, as the person wrote it.
        constitution: a file, or one already loaded.
        options: what is asked for.

    Raises:
        UserError: the first mistake, before a model loads.
    """
    whole = constitution if isinstance(constitution, Constitution) else Constitution.load(constitution)
    law = in_question(whole, options.principles, options.changed_from)
    around = TuningFree.named(options.in_context, options.demonstrations, options.system_prompt)
    prompts = own_prompts(law) if options.prompts is None else read_prompts(options.prompts)
    folder = options.folder
    keep = None if folder is None else Keep(folder, "" if around is None else _identity(around))
    given = open_given(
        law,
        judge=options.judge,
        card=options.card,
        labels=options.labels,
        labels_random=options.labels_random,
        since=options.since,
        run=options.run,
        policy=model,
        keep=keep,
    )
    return Ready(law, options, given, prompts, around, keep)


def measure(policy: Policy, ready: Ready) -> Evaluation:
    """Ask the model, judge its answers, and write what was found where that was asked for.

    Args:
        policy: the model in question.
        ready: of :func:`ready_for`.

    Raises:
        UserError: the two models cannot be compared, or no prompt can be asked.
        Interrupted: the person asked to stop; what was done is kept where a place for it was given.
    """
    options, around, own = ready.options, ready.around, ready.options.prompts is None
    bare = around is not None and around.asks_unrendered(policy, ready.prompts.groups)
    reference = _reference(policy, ready, bare)
    asked = _rendered(policy, ready, bare)
    if own:
        for what, number in ready.prompts.counts.items():
            say(f"{number} {what}")
    found = evaluate(
        policy,
        ready.law,
        asked.groups,
        reference=reference,
        sampling=options.sampling,
        num_generations=options.num_generations,
        unrelated_text=options.unrelated_text,
        criteria=Criteria(seed=options.seed),
        around=None if around is None else (lambda engine: around.around(engine, policy)),
        judge=ready.given.judge,
        labels=ready.given.labels,
        measure_tests=own and not bare,
        keep=ready.keep,
        unasked=asked.unasked,
    )
    if around is not None:
        found = replace(found, sampling={**found.sampling, "asked_through": around.label})
    if options.out is not None:
        against = options.against
        name = against if against is None or isinstance(against, str) else against.name
        base = None if found.before is None else name or "without alignment"
        write_evaluation(
            options.out, found, ready.law, ready.given, model=policy.name, base=base, seed=options.seed
        )
    return found


def _rendered(policy: Policy, ready: Ready, bare: bool) -> Rendered:
    """The prompts as the model, or what stands around it, reads them."""
    if bare:
        return Rendered(ready.prompts.groups, {})
    if ready.options.prompts is None:
        return render_tests(ready.prompts, policy.template)
    return Rendered(prepare(ready.prompts, policy.template).groups, {})


def _reference(policy: Policy, ready: Ready, bare: bool) -> Reference | None:
    against = ready.options.against
    if against is not None and bare:
        raise UserError(
            "a model without a chat template is asked by examples alone: nothing compares with it",
            where="against",
            fix="leave it out, or give plain text prompts",
        )
    if against is not None:
        return _other_model(against, policy)
    if ready.around is not None:
        return None if bare else Reference(policy.model)
    if not policy.has_adapter:
        return None
    if (policy.path / BASE).exists():
        say("before: the model under this adapter, which was trained too; against names another")
    return Reference(None)


def _other_model(model: Policy | str, policy: Policy) -> Reference:
    from charter.models.load import load

    other = load(model) if isinstance(model, str) else model
    if other.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        raise UserError(
            f"{other.name} and {policy.name} have different vocabularies: likelihood and KL do not compare",
            where="against",
            fix="use `charter compare` for models of different families",
        )
    return Reference(other.model)


def _identity(around: TuningFree) -> str:
    """Of everything that stands around the model; URIAL's own examples are those of this version."""
    shown: list[dict[str, Any]] = [asdict(one) for one in around.demonstrations]
    return sha256_json([charter.__version__, around.method, around.system_prompt, shown])
