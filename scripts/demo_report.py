"""Write ``docs/demo/``: a report in which every section is filled.

    python scripts/demo_report.py

No model runs here. Policies, judges and people are scripted: they keep to each principle, err and disagree at
shares that are planted below. What is done with them is not scripted: the card examines the judge, rates are
corrected, tests are run and compared by the code that does it for a real model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demo_parts import CREATED, PER_PRINCIPLE, health, older, probes, run_facts, tax, training_pairs
from demo_planted import Judge, Prober, answered, in_tests, labelled, people

from charter.constitution import Constitution
from charter.engines.base import Sampling
from charter.engines.scripted import ScriptedEngine
from charter.evaluation.consistency.consistency import consistency
from charter.evaluation.consistency.items import example_groups
from charter.evaluation.evaluate import Evaluation, gates_of, principle_infos
from charter.evaluation.judge_card.labels import Labels
from charter.evaluation.judges.judging import adjudicate, given_judge
from charter.evaluation.rates.adherence import adherence
from charter.evaluation.report_json import evidence_of, report_of
from charter.evaluation.suite import SuiteOptions, TestReport, run_tests
from charter.evaluation.taught import Taught
from charter.feedback.people.people import people as measure_people
from charter.feedback.recovering.pairs import pairs_of
from charter.feedback.recovering.round_trip import round_trip
from charter.reporting import write_report
from charter.rundir import write_json
from charter.testing.raters import RaterStudy, SimulatedRater, simulated_items
from charter.types import Group

DEMO = Path(__file__).parent.parent / "docs" / "demo"


def tests_of(law: Constitution, judge: Judge) -> TestReport:
    """Every kind of test."""
    return run_tests(
        law,
        ScriptedEngine(in_tests),
        sampling=Sampling(temperature=1.0, max_completion_length=200),
        judge=judge,
        prober=Prober(),
        others=[Judge(law, "second-judge", 0.8, 0.8)],
        seeds=4,
        options=SuiteOptions(resamples=400, distribution_samples=40),
    )


def corners(law: Constitution, groups: Sequence[Group], labels: Labels) -> dict[str, Any]:
    """Three judges and people on the same answers; ``careless`` is a bad judge."""
    judges = [Judge(law, "aligned", 0.99, 0.6), Judge(law), Judge(law, "careless", 0.7, 0.6)]
    said = [
        group.with_judgements(*(one for judge in judges for one in judge.judge([group])[0]))
        for group in groups
    ]
    shown = [
        group.with_judgements(*(one for judge in judges for one in judge.judge([group])[0]))
        for group in example_groups(law)
    ]
    found = consistency(law, [*said, *shown], labels, own={"aligned": "aligned"}, policy="aligned", draws=400)
    return found.to_json()


def report(law: Constitution) -> dict[str, Any]:
    """The whole of ``report.json``."""
    judge = Judge(law)
    labels = people(law, [*labelled("base"), *labelled("aligned")])
    adjudication = adjudicate(law, given_judge(judge), labels=labels)
    before, after = (adjudication.judged(answered(name, law)) for name in ("base", "aligned"))
    card = adherence(
        after,
        principle_infos(law),
        before=before,
        gates=gates_of(law),
        bases=adjudication.bases,
        levels=law.levels,
    )
    flags = [f"{row.principle} fell by {-100 * row.change.diff:.0f} points" for row in card.principles
             if row.status == "fell" and row.change]  # fmt: skip
    found = Evaluation(
        card,
        tuple(health()),
        tuple(flags),
        tuple(after),
        tuple(before),
        judge.name,
        adjudication.card,
        adjudication.bases,
        tests=tests_of(law, judge),
    )
    taught = Taught("stages/03-compare/pairs.jsonl", 240, PER_PRINCIPLE, [], [])
    evidence = evidence_of(found, law, taught=taught, older=older(law))
    made = report_of(
        evidence, law, model="demo-aligned", base="demo-base", created=CREATED, seed=0, facts=run_facts()
    )
    made["title"] = "Town library assistant: a demonstration report"
    made["models"]["aligned"]["algorithm"] = "dpo"
    made["reviews"] = [signed_off()]
    return made


def raters(law: Constitution) -> dict[str, Any]:
    """What thirteen simulated raters are worth: one looks at the first answer too often, one guesses."""
    north = {"ada": 0.93, "bo": 0.88, "cem": 0.86, "dora": 0.9, "emil": 0.84, "fay": 0.89}
    south = {"gus": 0.87, "hana": 0.9, "ivo": 0.85, "jun": 0.88}
    crowd = [
        *(SimulatedRater(name, accuracy, group="north") for name, accuracy in north.items()),
        *(SimulatedRater(name, accuracy, group="south", stance=0.8) for name, accuracy in south.items()),
        SimulatedRater("chi", 0.82, position=0.5, suggestion=0.4, group="south", stance=0.8),
        SimulatedRater("dee", 0.8, spam=0.6, group="south", stance=0.8),
        SimulatedRater("eli", 0.9, source="expert"),
    ]
    ids = [principle.id for principle in law.active]
    items = simulated_items(
        240,
        gold=0.1,
        contested=0.2,
        suggested=0.3,
        principles=ids[:3],
        models={"demo-aligned": 0.6, "demo-base": -0.6},
        strata=("everyday", "hard"),
        seed=2,
    )
    labels = RaterStudy(crowd, items, per_item=6, repeats=0.08, unsuggested=0.3, seed=2).labels()
    return measure_people(labels, principles=ids).to_json()


def signed_off() -> dict[str, Any]:
    """A review by three people, one of whom refused."""
    return {
        "stage": "review",
        "what": {"evaluation": {"file": "evaluation.json", "sha": "0" * 64}},
        "by": ["M. Okafor", "L. Brandt", "S. Iyer"],
        "needs": 2,
        "state": "approved",
        "approved": ["M. Okafor", "S. Iyer"],
        "refused": ["L. Brandt"],
        "missing": [],
        "dissent": [{"who": "L. Brandt", "reason": "Apologies came back. I would have waited."}],
        "reviews": [],
    }


def main() -> None:
    """Write the report and what lies beside it, then the page."""
    law = Constitution.load(DEMO / "library.constitution.md")
    write_json(DEMO / "report.json", report(law))
    groups = labelled("aligned")
    write_json(DEMO / "consistency.json", corners(law, groups, people(law, groups)))
    write_json(DEMO / "tax.json", tax())
    write_json(DEMO / "probes.json", probes())
    write_json(DEMO / "round_trip.json", round_trip(pairs_of(training_pairs(), name="demo"), law).to_json())
    write_json(DEMO / "people.json", raters(law))
    page = write_report(DEMO)
    print(f"{page}: {page.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
