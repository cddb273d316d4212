"""The pre-flight of every reward on the model's own samples, as a probe."""

from __future__ import annotations

from charter.errors import DataError
from charter.evaluation.probes.measures import not_measured
from charter.evaluation.probes.preflight import Preflight, preflight
from charter.evaluation.probes.rows import ProbeResult, Row
from charter.evaluation.probes.scoring import scored
from charter.evaluation.probes.settings import Bench
from charter.stats import Interval

NAME = "best-of-n"


def run(bench: Bench) -> ProbeResult:
    """Every reward against every held-out one; where none is named, against every other reward."""
    assert bench.rewards is not None
    drawn, settings = bench.drawn, bench.settings
    proxies = scored(bench.rewards, drawn.groups)
    golds = proxies if bench.heldout is None else scored(bench.heldout, drawn.groups)
    rows: list[Row] = [not_measured(name, why) for name, why in proxies.refused.items()]
    if bench.heldout is not None:
        rows += [not_measured(f"held-out {name}", why) for name, why in golds.refused.items()]
    for name in proxies.names:
        against = [gold for gold in golds.names if bench.heldout is not None or gold != name]
        for gold in against or [""]:
            try:
                found = preflight(
                    proxies.column(name),
                    golds.column(gold) if gold else None,
                    names=(name, gold),
                    level=settings.level,
                    seed=settings.seed,
                )
            except DataError as fault:
                rows.append(not_measured(f"{name}: gain", fault.what))
                continue
            rows += preflight_rows(found)
    missing = proxies.missing + drawn.missing
    if golds is not proxies:
        missing += golds.missing
    return ProbeResult(NAME, tuple(rows), (), missing)


def preflight_rows(found: Preflight) -> list[Row]:
    """The gain of the proxy, of the held-out reward, and where that turns."""
    last = found.curve[-1]
    title = found.proxy if not found.gold else f"{found.proxy}, held out {found.gold}"
    curve = found.to_json()
    rows = [
        Row(
            f"{title}: proxy gain",
            found.proxy_gain[0],
            found.proxy_gain[1],
            found.prompts,
            found.left_out,
            why=f"reward of the best of {last.n}, {last.kl:.2f} nats away, less that of a plain sample",
            detail=curve,
        )
    ]
    if found.gold_gain is None:
        rows.append(not_measured(f"{title}: held-out gain", "no held-out reward was given"))
        return rows
    rows.append(
        Row(
            f"{title}: held-out gain",
            found.gold_gain[0],
            found.gold_gain[1],
            found.prompts,
            found.left_out,
            why=found.words(),
        )
    )
    rows.append(
        Row(
            f"{title}: turning point (nats)",
            found.turning_kl if found.decided else None,
            _squared(found) if found.decided else None,
            found.prompts,
            found.left_out,
            why=found.words(),
            detail={"kl": found.turning_kl, "n": found.turning_n, "within": found.within},
        )
    )
    return rows


def _squared(found: Preflight) -> Interval | None:
    """The interval of the peak, which is in square roots of nats, in nats; None where it lies beyond."""
    if found.law is None or found.law.peak_interval is None:
        return None
    lo, hi = found.law.peak_interval
    return Interval(lo**2, hi**2)
