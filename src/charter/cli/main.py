"""``charter``: one file per verb, a thin skin over the Python API.

Nothing heavy is imported here or at the top of a verb's file, so help and
mistakes answer at once.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings

import click
import typer

from charter import __version__
from charter.cli import (
    advise,
    algorithms,
    annotate,
    chat,
    check,
    clair,
    compare,
    compare_runs,
    consistency,
    constitution,
    distil_judge,
    evaluate,
    gpo,
    init,
    inspect_logs,
    judge,
    judge_card,
    judge_rows,
    label_pairs,
    labels,
    model,
    overopt,
    pass_at_k,
    pluralism,
    probe,
    rank,
    raters,
    red_team,
    report,
    review,
    revise,
    reward_bench,
    run,
    sample,
    shift,
    step_labels,
    tax,
    train,
)
from charter.cli.sections import Sectioned
from charter.errors import CharterError, exit_code_of

CRASHED = 70
"""Exit code of a mistake in Charter itself: Python's own, 1, is that of a gate that failed."""

app = typer.Typer(
    cls=Sectioned,
    name="charter",
    help="Align a language model to a written constitution, and prove how far it adheres.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(value: bool) -> None:
    if value:
        print(f"charter {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    pass


app.command("init")(init.init_command)
app.command("check")(check.check_command)
app.command("run")(run.run_command)
app.command("sample")(sample.sample_command)
app.command("judge")(judge.judge_command)
app.command("judge-card")(judge_card.judge_card_command)
app.command("distil-judge")(distil_judge.distil_judge_command)
app.command("review")(review.review_command)
app.command("revise")(revise.revise_command)
app.command("clair")(clair.clair_command)
app.command("label-pairs")(label_pairs.label_pairs_command)
app.command("red-team")(red_team.red_team_command)
app.command("evaluate")(evaluate.evaluate_command)
app.command("compare")(compare.compare_command)
app.command("compare-runs")(compare_runs.compare_runs_command)
app.command("consistency")(consistency.consistency_command)
app.command("rank")(rank.rank_command)
app.command("step-labels")(step_labels.step_labels_command)
app.command("critiques")(judge_rows.critiques_command)
app.command("verdicts")(judge_rows.verdicts_command)
app.command("reward-bench")(reward_bench.reward_bench_command)
app.command("overopt")(overopt.overopt_command)
app.command("pass-at-k")(pass_at_k.pass_at_k_command)
app.command("pluralism")(pluralism.pluralism_command)
app.command("probe")(probe.probe_command)
app.command("raters")(raters.raters_command)
app.command("shift")(shift.shift_command)
app.command("tax")(tax.tax_command)
app.command("report")(report.report_command)
app.command("chat")(chat.chat_command)
app.command("algorithms")(algorithms.command)
app.command("advise")(advise.advise_command)
app.command(
    "train",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)(train.train_command)
app.add_typer(annotate.app, name="annotate", help="People label answers: a page on this machine.")
app.add_typer(constitution.app, name="constitution", help="Write, check and read constitutions.")
app.add_typer(labels.app, name="labels", help="What people said: import, count, merge, check, export.")
app.add_typer(gpo.app, name="gpo", help="Few-shot preferences of groups: train, predict.")
app.add_typer(inspect_logs.app, name="inspect", help="Logs of Inspect, read and written.")
app.add_typer(model.app, name="model", help="Fetch, list and export models.")


def main() -> None:
    """Entry point: run, and turn errors into one message and an exit code."""
    # Idle OpenMP threads that spin starve the others when anything else runs on the machine:
    # a busy core then costs ten times, not twice. Must be set before torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # What other libraries deprecate, nobody at a command line can act on.
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        code = app(prog_name="charter", standalone_mode=False)
    except CharterError as error:
        _complain(error)
        sys.exit(exit_code_of(error))
    except (KeyboardInterrupt, typer.Abort, click.exceptions.Abort):
        print("\nstopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except Exception as error:
        sys.exit(_usage(error))
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: Exception) -> int:
    """Show a usage error of the command line; typer carries its own copy of click's classes."""
    show, code = getattr(error, "show", None), getattr(error, "exit_code", None)
    if show is None and isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if show is None or not isinstance(code, int):
        traceback.print_exception(error)
        return CRASHED
    show()
    return code


def _complain(error: CharterError) -> None:
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    print(f"charter: {error}{notes}", file=sys.stderr)


if __name__ == "__main__":
    main()
