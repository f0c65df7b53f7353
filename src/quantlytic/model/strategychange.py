"""A running strategy is to be replaced, and was: by other parameters, or by other code."""

from quantlytic.model.event import Event

KEEP, CLOSE = "keep", "close"
POSITIONS = (KEEP, CLOSE)
"""What becomes of what the run holds: the new strategy takes it over, or it is sold (a short one bought back)."""
NOBODY = "nobody"
"""The strategy that is in force after one that has raised: it decides nothing, until another takes over."""
GUARD = "guard"
"""What becomes of what the run holds then: it is kept, and so are the orders that can only make it smaller."""


class StrategyRequest(Event, frozen=True, tag=32):
    """Somebody (`by`) wishes that `strategy` takes over the run. In `commands.RUN`; answered by a StrategyChange of the same
    `request`.

    `params` is a JSON object of numbers; `code` the text of a strategy's own file ("" for a built-in one), `code_hash` its
    SHA-256. `position` is one of `POSITIONS`.
    """

    run: str
    request: str
    event_time: int
    strategy: str
    params: str
    position: str
    reason: str
    by: str
    code_hash: str = ""
    code: str = ""


class StrategyChange(Event, frozen=True, tag=31):
    """From the bar after `bar_offset` on `new` decides, until then `old` has; in `decisions.RUN`, before that bar's Decided.

    At the bar itself nobody is asked: the old one's open orders are withdrawn (all but those that guard what is held, where
    `position` is "guard"), and all is sold if `position` is "close". The new
    one has seen `bars` bars up to this one, which made `state`: its parts as bytes, packed; `is_held`: its orders are held until
    its indicators are ready. With `refusal` nothing has changed and `old` goes on. `code` and `old_code` are the texts of
    strategies that are files of their own, kept so that the run can be repeated; parameters are JSON objects. `event_time` is
    the bar's end.

    Where a strategy raises at a bar, `new` is `NOBODY` and nobody has asked: `reason` says what was raised, and how it stood. The
    same event is then in `commands.RUN` as well, which so tells whether there was a change ever.
    """

    run: str
    request: str
    event_time: int
    bar_offset: int
    old: str
    old_params: str
    new: str
    new_params: str
    position: str
    reason: str
    by: str
    code_hash: str = ""
    refusal: str = ""
    code: str = ""
    old_code: str = ""
    bars: int = 0
    is_held: bool = False
    state: str = ""
