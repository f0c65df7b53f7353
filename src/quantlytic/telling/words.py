"""What a person is told, in words. Nothing in it depends on when, or to whom, it is written."""

from __future__ import annotations

from typing import Any

from quantlytic.model.breach import RiskBreach
from quantlytic.model.discrepancy import Discrepancy
from quantlytic.model.fill import Fill
from quantlytic.model.halt import Halt
from quantlytic.model.instrument import Instrument
from quantlytic.model.intent import Intent
from quantlytic.model.intentwords import intent_words
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.signal import Signal
from quantlytic.model.time import NS_PER_S, duration_text
from quantlytic.telling.letter import Chart, Letter, one_line, price_text, time_text
from quantlytic.telling.wishes import Again

MINUTE_NS = 60 * NS_PER_S
_DATA = {
    LedgerKind.GAP: ("Data missing", "{count} {stream} of {what} never came"),
    LedgerKind.RECONNECT: ("Connection lost", "The connection for {stream} of {what} was lost and made anew"),
    LedgerKind.CROSSED: ("Book crossed", "The order book of {what} crossed and is being rebuilt"),
    LedgerKind.INVALID: ("Message unreadable", "A message of {stream} of {what} could not be read"),
}
_HALTS = {
    "kill": "the kill switch was pressed", "dead-man": "there was no sign of life, or the data is too old",
    "risk": "a limit of the account is broken", "reconciliation": "our books and the venue's differ",
}  # fmt: skip


def strategy_name(strategy: str) -> str:
    """A built-in's name, or the file's without its folders: what may be told to strangers."""
    return strategy.replace("\\", "/").rpartition("/")[2]


def instrument_of(run: Run, instrument: str) -> Instrument:
    """The run's instrument of that id, with the venue's tick."""
    return next((one for one in run.instruments if one.id == instrument), Instrument(instrument))


def signal_letter(
    signal: Signal,
    run: Run,
    *,
    reason: str = "",
    idea: str = "",
    record: tuple[str, ...] = (),
    chart: Chart | None = None,
    again: Again | None = None,
) -> Letter:
    """A strategy wants another position. `reason`: why, of this time; `idea`: what the strategy is about, told in its place;
    `again`: it has wanted that for long."""
    instrument = instrument_of(run, signal.instrument)
    symbol, name, price = instrument.symbol, strategy_name(run.strategy), price_text(signal.price, instrument)
    verb = signal.side.name.lower()
    unit = instrument.base or symbol
    held = f"{signal.target_quantity:,.8g} {unit}".replace("-", "−") if signal.target_quantity else "nothing"
    wish = f"{name} says {verb} {symbol} at {price}: it wants to hold {held}."
    return _letter(
        "signal", signal.event_time, f"{verb.upper()} {symbol} at {price} ({name}, {run.mode}){', still' if again else ''}",
        lines=(_still(again, verb), reason or (f"Its rule: {idea}" if idea else ""), wish),
        facts=(
            ("Price", price), ("Wants to hold", held), ("Seen", time_text(signal.event_time)), *_facts(run),
        ),
        record=record, small=(_mode(run), _FOLDED, f"Run {run.run_id}, signal {signal.signal_id}."), chart=chart,
        run=run.run_id,
    )  # fmt: skip


def fill_letter(fill: Fill, run: Run) -> Letter:
    """An order was filled."""
    instrument = instrument_of(run, fill.instrument)
    symbol, name, price = instrument.symbol, strategy_name(run.strategy), price_text(fill.price, instrument)
    done = "bought" if fill.side is Side.BUY else "sold"
    quantity = f"{fill.quantity:,.8g} {instrument.base or symbol}"
    money = instrument.quote or "in the quote currency"
    return _letter(
        "fill", fill.event_time, f"FILLED: {done} {quantity} at {price} ({name}, {run.mode})",
        lines=(f"{name} {done} {quantity} at {price}.",),
        facts=(
            ("Value", f"{fill.quantity * fill.price:,.2f} {money}"), ("Fee", f"{fill.fee:,.8g} {money}"),
            ("Filled", time_text(fill.event_time)), *_facts(run),
        ),
        small=(_mode(run), f"Run {run.run_id}, order {fill.order_id}, fill {fill.fill_id}."), run=run.run_id,
    )  # fmt: skip


def intent_letter(intent: Intent, run: Run, chart: Chart | None = None) -> Letter:
    """What a strategy would do if the price went there. Of no use once its bar is over."""
    instrument = instrument_of(run, intent.instrument)
    name, words = strategy_name(run.strategy), intent_words(intent, instrument)
    now = price_text(intent.seen_price, instrument)
    quantity = (("Quantity", f"{intent.quantity:,.8g}"),) if intent.quantity > 0.0 else ()
    return _letter(
        "look-ahead", intent.event_time, f"SOON? {words.partition(', within')[0]} ({name}, {run.mode})",
        lines=(f"{words}.", f"So says {name}, when the price was {now}. Nothing has been decided yet."),
        facts=(
            ("Price now", now), ("Ends", time_text(intent.until)), ("Seen", time_text(intent.event_time)), *quantity,
            *_facts(run),
        ),
        small=(_mode(run), f"Run {run.run_id}, intent {intent.intent_id}."), chart=chart, expires_ns=intent.until,
        run=run.run_id,
    )  # fmt: skip


def risk_letter(event: RiskBreach | Halt | Discrepancy, again: Again | None = None) -> Letter:
    """Our own limits, the kill switch, or books that differ. Waits for no quiet hours. `again`: the limit refuses for long."""
    if isinstance(event, RiskBreach):
        order = f"order {event.order_id} of {event.run}" if event.order_id else "the account itself"
        return _letter(
            "risk", event.event_time,
            f"REFUSED by {event.limit}: {event.instrument or event.account}{', still' if again else ''}",
            lines=(
                f"{again.times:,} times since {time_text(again.since)}; this was the last." if again else "",
                _sentence(event.text),
                f"The limit {event.limit} allows {event.allowed:,.8g}; it would be {event.asked:,.8g}.",
            ),
            facts=(("Account", event.account), ("What", order), ("When", time_text(event.event_time))),
            small=("While this limit goes on refusing, it is told again after a day at the earliest.",), is_urgent=True,
            run=event.run,
        )  # fmt: skip
    if isinstance(event, Halt):
        state = "HALTED" if event.is_halted else "RELEASED"
        why = _HALTS.get(event.cause, event.cause)
        line = (
            f"Trading on {event.account} is stopped: {why}." if event.is_halted else f"{event.account} may trade again."
        )
        return _letter(
            "risk", event.event_time, f"{state}: {event.account} ({event.cause})",
            lines=(line, _sentence(event.text)), is_urgent=True, is_unlimited=True,
            facts=(("Account", event.account), ("By", event.by or "–"), ("When", time_text(event.event_time))),
            small=("No order is sent until somebody releases it.",) if event.is_halted else (),
        )  # fmt: skip
    return _letter(
        "risk", event.event_time, f"BOOKS DIFFER: {event.what} {event.name} of {event.account}",
        lines=(_sentence(event.explanation), f"What was done: {event.action}."), is_urgent=True,
        facts=(("Ours", event.ours), ("The venue's", event.venue), ("When", time_text(event.event_time))),
    )  # fmt: skip


def data_letter(entry: LedgerEntry) -> Letter:
    """Something is wrong with the data of an instrument."""
    title, sentence = _DATA[entry.kind]
    what = entry.instrument.partition(":")[2] or entry.instrument or "the venue"
    said = sentence.format(count=f"{entry.count:,}", stream=entry.stream, what=what)
    numbers = ("Numbers", f"{entry.first:,} to {entry.last:,}")
    return _letter(
        "data", entry.event_time, f"{title}: {what}, {entry.stream}",
        lines=(f"{said}{f' ({entry.detail})' if entry.detail else ''}.",),
        facts=(("Instrument", entry.instrument), ("When", time_text(entry.event_time)), *((numbers,) if entry.last else ())),
        small=("More of the same within the hour is not told one by one; `quantlytic data check` has all of it.",),
    )  # fmt: skip


def link_letter(kind: str, url: str, expires_ns: int, event_time: int, notes: tuple[str, ...] = ()) -> Letter:
    """The mail with which a subscription is confirmed ("confirm"), or seen and changed ("mine"). `notes`: what is to be known
    of what was chosen."""
    lines: tuple[str, ...]
    asked = "Somebody, you we hope, asked for alerts to be sent to this address."
    if kind == "confirm":
        subject, lines, words = (
            "Please confirm your alerts",
            (asked, "Nothing is sent until you confirm it.", *notes),
            "Confirm",
        )
    else:
        subject, words = "Your alerts", "See or change them"
        lines = ("Here is the link that you asked for, to see, change or end your alerts.",)
    until = time_text(expires_ns // MINUTE_NS * MINUTE_NS)  # a minute early is better than microseconds
    small = (f"The link is good until {until}. If it was not you, do nothing.",)
    return Letter(kind, event_time, subject, lines, small=small, link=(words, url), expires_ns=expires_ns)


def held_letter(count: int, per_hour: int, kinds: tuple[str, ...], until_ns: int, event_time: int) -> Letter:
    """The hour's limit is reached: `count` messages wait by now, the first of them until `until_ns`."""
    until = time_text(-(-until_ns // MINUTE_NS) * MINUTE_NS)
    waits = f"{count:,} message{'' if count == 1 else 's'}"
    lines = (
        f"{per_hour:,} messages ({', '.join(kinds)}) went to you within the hour, which is the limit. By now {waits} more "
        f"{'is' if count == 1 else 'are'} held back, and so are those that follow: the first one until {until}.",
        "None is lost; what is of no use any more by then is dropped.",
    )
    small = (
        "See what waits: `quantlytic alerts history`. The limit: `notify.per_hour`; fewer kinds: `notify.kinds`.",
        "This is told once an hour at most.",
    )
    return Letter(
        "held",
        event_time,
        f"HELD BACK: {waits} until {until}",
        lines,
        small=small,
        expires_ns=until_ns + 60 * MINUTE_NS,
    )


def check_letter(event_time: int) -> Letter:
    """A test, sent because somebody asked for it."""
    line = "This is a test: alerts reach you here."
    return Letter("test", event_time, "Test of your alerts", (line,), (("Asked for", time_text(event_time)),))


def bare_letter(kind: str, event_time: int, instrument: str, trouble: str) -> Letter:
    """That there is something to tell, where it cannot be put into words."""
    what = instrument.partition(":")[2] or instrument or "the account"
    line = (
        f"There is news of the kind {kind!r} about {what}, which could not be put into words ({trouble}): see the page."
    )
    return _letter(kind, event_time, f"{kind.upper()}: {what}", lines=(line,), is_urgent=kind == "risk")


# ---- inside

_FOLDED = "While it goes on wanting the same and gets nothing, it is told again after a day at the earliest."


def _still(again: Again | None, verb: str) -> str:
    if again is None:
        return ""
    why = f"; refused: {one_line(again.refused, 300)}" if again.refused else "; no order of it was filled"
    return _sentence(f"It still wants to {verb}, for {again.times:,} bars since {time_text(again.since)}{why}")


def _facts(run: Run) -> tuple[tuple[str, str], ...]:
    params = ", ".join(f"{name} {value:g}" for name, value in sorted(run.params.items()))
    return (
        ("Strategy", strategy_name(run.strategy) + (f" ({params})" if params else "")),
        ("Bars", duration_text(run.bar_size_ns)), ("Venue", run.venue),
    )  # fmt: skip


def _sentence(text: str) -> str:
    """With a capital and a full stop, if it is one."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if not text or text[-1] in ".!?:" else ".")


def _mode(run: Run) -> str:
    if run.mode == "live":
        return f"This is live trading on {run.venue}: a real order follows."
    if run.mode == "alert":
        return "This is an alert: no order is sent by anybody but you."
    return f"This is {run.mode} trading on {run.venue}: no real order is sent."


def _letter(
    kind: str, event_time: int, subject: str, *, lines: tuple[str, ...], facts: tuple[tuple[str, str], ...] = (),
    record: tuple[str, ...] = (), **rest: Any,
) -> Letter:  # fmt: skip
    """A letter whose texts may come from anywhere: each is made one line."""
    return Letter(
        kind,
        event_time,
        one_line(subject),
        lines=tuple(one_line(line, 600) for line in lines if line),
        facts=tuple((one_line(label), one_line(value, 300)) for label, value in facts),
        record=tuple(one_line(line, 600) for line in record),
        **rest,
    )
