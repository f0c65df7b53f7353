"""A recommendation in words that somebody who never read a paper on statistics understands."""

from __future__ import annotations

from collections.abc import Sequence

from quantlytic.research import text
from quantlytic.research.advice.finding import Contender, Finding, Record

CONFIDENCE = 0.95
EVEN = 0.5
FEWEST_TRIPS = 5

DOUBTS = {
    "idle": "never traded",
    "lost": "lost money",
    "few": "too few trades",
    "short": "too little data",
    "luck": "likely luck",
    "unproven": "not proven",
    "market": "the market's gain",
    "search": "search proves nothing",
    "holding": "holding was better",
    "unstable": "not steady",
    "costs": "dies of costs",
    "second": "another is better",
}
"""Why a strategy is not recommended, in a few words; the first that holds, in this order."""


def yearly(one: Record) -> str:
    """`12 % a year`; what was gained in all where the time is too short to be told by the year."""
    value, span = (one.total_return, "in all") if one.cagr is None else (one.cagr, "a year")
    return f"{share(value)} {span}"


def share(value: float) -> str:
    """`12 %`, `3.4 %`, `−50 %`: as precise as it matters."""
    return f"{value * 100:,.{1 if abs(value) < 0.0995 else 0}f}\u00a0%".replace("-", "−")


def chance(value: float | None) -> str:
    """A probability: `0.41`; one that is almost certain is never shown as 1."""
    if value is None:
        return text.NONE
    return "over 0.99" if value > 0.995 else "under 0.01" if value < 0.005 else text.ratio(value)


def short_chance(value: float | None) -> str:
    """The same for a table: `>0.99`."""
    return chance(value).replace("over ", ">").replace("under ", "<")


def sharpe(one: Record) -> str:
    """Its Sharpe ratio; what rounds to nothing has no sign."""
    return text.NONE if one.sharpe is None else text.ratio(round(one.sharpe, 2) + 0.0)


def sentence_of(finding: Finding) -> str:
    """`SOLUSDT: none. The best of 24 (supertrend) made 12 % a year out of sample, but with 1,240 trials that is likely luck
    (deflated Sharpe 0.41).`"""
    if not finding.tested:
        return f"{finding.symbol}: none. No strategy could be run on it."
    best, hold = finding.best, finding.hold
    if finding.strategy is not None:
        return (
            f"{finding.symbol}: {best.strategy}. It made {yearly(best)} out of sample, after costs, with a drawdown of "
            f"{_depth(best)}; holding made {yearly(hold)} with {_depth(hold)}. With {finding.trials:,} trials counted the "
            f"deflated Sharpe is {chance(best.dsr)}; {best.earned} of {len(best.stretches)} stretches earned."
        )
    return f"{finding.symbol}: none. {_why_not(finding, best)}"


def hold_sentence(finding: Finding) -> str:
    """What holding the instrument would have given."""
    hold = finding.hold
    return f"Buy and hold over the same time: {yearly(hold)}, Sharpe {sharpe(hold)}, drawdown {_depth(hold)}."


def in_one_line(findings: Sequence[Finding]) -> str:
    """How many instruments have a strategy, and which."""
    if not findings:
        return "Nothing was finished."
    suited = [one for one in findings if one.strategy is not None]
    count = len(findings)
    if not suited:
        what = "the instrument" if count == 1 else f"any of the {count} instruments"
        return f"No strategy is recommended for {what}: nothing that was tried is proven to be better than luck."
    names = ", ".join(f"{one.symbol} ({one.strategy})" for one in suited)
    rest = "" if len(suited) == count else f" For the other{'s' if count - len(suited) > 1 else ''}: none."
    return f"A strategy for {len(suited)} of {count} instrument{'s' if count > 1 else ''}: {names}.{rest}"


def _why_not(finding: Finding, best: Contender) -> str:
    """The evidence against the best one."""
    count = len(finding.tested)
    who = f"The best of {count} ({best.strategy})" if count > 1 else f"{best.strategy.capitalize()}"
    made = f"{who} made {yearly(best)} out of sample"
    trials = f"{finding.trials:,} trial{'s' if finding.trials != 1 else ''}"
    dsr = chance(best.dsr)
    lost = f"None of the {count} earned anything out of sample; the best ({best.strategy}) returned {yearly(best)}."
    stressed = [one.name for one in finding.stress[1:] if one.total_return <= 0.0]
    sentences = {
        "idle": "No strategy traded." if count > 1 else "It never traded.",
        "lost": lost if count > 1 else f"{who} returned {yearly(best)} out of sample.",
        "few": f"{made}, but it closed {_trips(best)}: too few to say.",
        "short": f"{made}, but that is too short a time to say.",
        "luck": f"{made}, but with {trials} that is likely luck (deflated Sharpe {dsr}).",
        "unproven": (
            f"{made}, which may be real, but with {trials} it is not proven (deflated Sharpe {dsr}; {CONFIDENCE} would be)."
        ),
        "market": (
            f"{made}, but most of that is the market's rise, which holding gives as well (deflated Sharpe {dsr}, "
            f"{chance(best.dsr_alpha)} without the market)."
        ),
        "search": (
            f"{made}, but the best of so many may look that good by luck (reality check p {chance(finding.spa_cash)})."
        ),
        "holding": f"{made}, but for its risk holding was better ({yearly(finding.hold)}).",
        "unstable": f"{made}, but only {best.earned} of {len(best.stretches)} stretches earned.",
        "costs": f"{made}, but it loses with {', '.join(stressed)}.",
    }
    return sentences[best.doubt]


def _trips(best: Contender) -> str:
    return f"{best.round_trips} trade{'s' if best.round_trips != 1 else ''}"


def _depth(one: Record) -> str:
    return text.NONE if one.max_drawdown is None else share(abs(one.max_drawdown))
