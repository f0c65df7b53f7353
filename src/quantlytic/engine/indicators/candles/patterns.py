"""All candle patterns at once, over one record of the last bars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from quantlytic.engine.indicators.candles.candles import Candles
from quantlytic.engine.indicators.candles.catalogue import CANDLE_PATTERNS
from quantlytic.engine.indicators.candles.five import (
    Breakaway,
    ConcealingBabySwallow,
    LadderBottom,
    MatHold,
    RiseFallThreeMethods,
    ThreeBlackCrows,
    ThreeLineStrike,
)
from quantlytic.engine.indicators.candles.one import (
    BeltHold,
    ClosingMarubozu,
    Doji,
    DragonflyDoji,
    GravestoneDoji,
    HighWave,
    LongLeggedDoji,
    LongLine,
    Marubozu,
    RickshawMan,
    ShortLine,
    SpinningTop,
    Takuri,
)
from quantlytic.engine.indicators.candles.three import (
    AbandonedBaby,
    EveningDojiStar,
    EveningStar,
    MorningDojiStar,
    MorningStar,
    ThreeInside,
    ThreeOutside,
    ThreeStarsInSouth,
    Tristar,
    TwoCrows,
    UniqueThreeRiver,
    UpsideGapTwoCrows,
)
from quantlytic.engine.indicators.candles.threemore import (
    AdvanceBlock,
    GapSideSideWhite,
    Hikkake,
    IdenticalThreeCrows,
    ModifiedHikkake,
    StalledPattern,
    StickSandwich,
    TasukiGap,
    ThreeWhiteSoldiers,
    XSideGapThreeMethods,
)
from quantlytic.engine.indicators.candles.two import (
    Counterattack,
    DarkCloudCover,
    DojiStar,
    Engulfing,
    Hammer,
    HangingMan,
    Harami,
    HaramiCross,
    HomingPigeon,
    InNeck,
    InvertedHammer,
    Kicking,
    KickingByLength,
    MatchingLow,
    OnNeck,
    Piercing,
    SeparatingLines,
    ShootingStar,
    Thrusting,
)
from quantlytic.engine.indicators.indicator import Indicator

# The compiler takes functions, not classes.
Rule = Callable[[Any, Any], float]
_abandoned_baby: Rule = AbandonedBaby.match
_advance_block: Rule = AdvanceBlock.match
_belt_hold: Rule = BeltHold.match
_breakaway: Rule = Breakaway.match
_closing_marubozu: Rule = ClosingMarubozu.match
_concealing_baby_swallow: Rule = ConcealingBabySwallow.match
_counterattack: Rule = Counterattack.match
_doji: Rule = Doji.match
_doji_star: Rule = DojiStar.match
_dragonfly_doji: Rule = DragonflyDoji.match
_engulfing: Rule = Engulfing.match
_evening_doji_star: Rule = EveningDojiStar.match
_evening_star: Rule = EveningStar.match
_gap_side_side_white: Rule = GapSideSideWhite.match
_gravestone_doji: Rule = GravestoneDoji.match
_hammer: Rule = Hammer.match
_hanging_man: Rule = HangingMan.match
_harami: Rule = Harami.match
_harami_cross: Rule = HaramiCross.match
_high_wave: Rule = HighWave.match
_hikkake: Rule = Hikkake.match
_homing_pigeon: Rule = HomingPigeon.match
_identical_three_crows: Rule = IdenticalThreeCrows.match
_in_neck: Rule = InNeck.match
_inverted_hammer: Rule = InvertedHammer.match
_kicking: Rule = Kicking.match
_kicking_by_length: Rule = KickingByLength.match
_ladder_bottom: Rule = LadderBottom.match
_long_legged_doji: Rule = LongLeggedDoji.match
_long_line: Rule = LongLine.match
_marubozu: Rule = Marubozu.match
_matching_low: Rule = MatchingLow.match
_modified_hikkake: Rule = ModifiedHikkake.match
_morning_doji_star: Rule = MorningDojiStar.match
_morning_star: Rule = MorningStar.match
_on_neck: Rule = OnNeck.match
_piercing: Rule = Piercing.match
_rickshaw_man: Rule = RickshawMan.match
_rise_fall_three_methods: Rule = RiseFallThreeMethods.match
_separating_lines: Rule = SeparatingLines.match
_shooting_star: Rule = ShootingStar.match
_short_line: Rule = ShortLine.match
_spinning_top: Rule = SpinningTop.match
_stalled_pattern: Rule = StalledPattern.match
_stick_sandwich: Rule = StickSandwich.match
_takuri: Rule = Takuri.match
_tasuki_gap: Rule = TasukiGap.match
_three_black_crows: Rule = ThreeBlackCrows.match
_three_inside: Rule = ThreeInside.match
_three_line_strike: Rule = ThreeLineStrike.match
_three_outside: Rule = ThreeOutside.match
_three_stars_in_south: Rule = ThreeStarsInSouth.match
_three_white_soldiers: Rule = ThreeWhiteSoldiers.match
_thrusting: Rule = Thrusting.match
_tristar: Rule = Tristar.match
_two_crows: Rule = TwoCrows.match
_unique_three_river: Rule = UniqueThreeRiver.match
_upside_gap_two_crows: Rule = UpsideGapTwoCrows.match
_x_side_gap_three_methods: Rule = XSideGapThreeMethods.match
_dark_cloud_cover: Rule = DarkCloudCover.match
_mat_hold: Rule = MatHold.match


def attribute_of(name: str) -> str:
    """`ThreeInside` -> `three_inside`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


class CandlePatterns(Indicator):
    """Every pattern of the catalogue, each as an attribute: `self.patterns.hammer`, `self.patterns.three_inside`.

    The bars and their running sums are kept once, so this costs a fraction of 61 patterns apart, and gives the same. `over`
    returns a named tuple of arrays.
    """

    outputs: ClassVar[tuple[str, ...]] = tuple(attribute_of(pattern.__name__) for pattern in CANDLE_PATTERNS.values())

    def __init__(self) -> None:
        self.penetration = 0.3
        self.candles = Candles()
        for name in self.outputs:
            setattr(self, name, 0.0)

    @property
    def ready(self) -> bool:
        """All patterns can be judged; most can earlier."""
        return self.candles.count > 14

    def update(self, open: float, high: float, low: float, close: float) -> None:
        """Take the next bar."""
        self.candles.update(open, high, low, close)
        self._after_2(self.candles)
        self._after_3(self.candles)
        self._after_5(self.candles)
        self._after_6(self.candles)
        self._after_7(self.candles)
        self._after_8(self.candles)
        self._after_10(self.candles)
        self._after_11(self.candles)
        self._after_12(self.candles)
        self._after_13(self.candles)
        self._after_14(self.candles)

    def _after_2(self, c: Any) -> None:
        judged = c.judge(2)
        self.engulfing = _engulfing(self, c) if judged else 0.0
        self.x_side_gap_three_methods = _x_side_gap_three_methods(self, c) if judged else 0.0

    def _after_3(self, c: Any) -> None:
        judged = c.judge(3)
        self.three_outside = _three_outside(self, c) if judged else 0.0

    def _after_5(self, c: Any) -> None:
        judged = c.judge(5)
        self.hikkake = _hikkake(self, c) if judged else 0.0

    def _after_6(self, c: Any) -> None:
        judged = c.judge(6)
        self.matching_low = _matching_low(self, c) if judged else 0.0

    def _after_7(self, c: Any) -> None:
        judged = c.judge(7)
        self.gap_side_side_white = _gap_side_side_white(self, c) if judged else 0.0
        self.stick_sandwich = _stick_sandwich(self, c) if judged else 0.0
        self.tasuki_gap = _tasuki_gap(self, c) if judged else 0.0

    def _after_8(self, c: Any) -> None:
        judged = c.judge(8)
        self.three_line_strike = _three_line_strike(self, c) if judged else 0.0

    def _after_10(self, c: Any) -> None:
        judged = c.judge(10)
        self.belt_hold = _belt_hold(self, c) if judged else 0.0
        self.closing_marubozu = _closing_marubozu(self, c) if judged else 0.0
        self.doji = _doji(self, c) if judged else 0.0
        self.dragonfly_doji = _dragonfly_doji(self, c) if judged else 0.0
        self.gravestone_doji = _gravestone_doji(self, c) if judged else 0.0
        self.high_wave = _high_wave(self, c) if judged else 0.0
        self.long_legged_doji = _long_legged_doji(self, c) if judged else 0.0
        self.long_line = _long_line(self, c) if judged else 0.0
        self.marubozu = _marubozu(self, c) if judged else 0.0
        self.modified_hikkake = _modified_hikkake(self, c) if judged else 0.0
        self.rickshaw_man = _rickshaw_man(self, c) if judged else 0.0
        self.short_line = _short_line(self, c) if judged else 0.0
        self.spinning_top = _spinning_top(self, c) if judged else 0.0
        self.takuri = _takuri(self, c) if judged else 0.0

    def _after_11(self, c: Any) -> None:
        judged = c.judge(11)
        self.counterattack = _counterattack(self, c) if judged else 0.0
        self.doji_star = _doji_star(self, c) if judged else 0.0
        self.hammer = _hammer(self, c) if judged else 0.0
        self.hanging_man = _hanging_man(self, c) if judged else 0.0
        self.harami = _harami(self, c) if judged else 0.0
        self.harami_cross = _harami_cross(self, c) if judged else 0.0
        self.homing_pigeon = _homing_pigeon(self, c) if judged else 0.0
        self.in_neck = _in_neck(self, c) if judged else 0.0
        self.inverted_hammer = _inverted_hammer(self, c) if judged else 0.0
        self.kicking = _kicking(self, c) if judged else 0.0
        self.kicking_by_length = _kicking_by_length(self, c) if judged else 0.0
        self.on_neck = _on_neck(self, c) if judged else 0.0
        self.piercing = _piercing(self, c) if judged else 0.0
        self.separating_lines = _separating_lines(self, c) if judged else 0.0
        self.shooting_star = _shooting_star(self, c) if judged else 0.0
        self.thrusting = _thrusting(self, c) if judged else 0.0
        self.penetration = 0.5
        self.dark_cloud_cover = _dark_cloud_cover(self, c) if judged else 0.0

    def _after_12(self, c: Any) -> None:
        judged = c.judge(12)
        self.penetration = 0.3
        self.abandoned_baby = _abandoned_baby(self, c) if judged else 0.0
        self.advance_block = _advance_block(self, c) if judged else 0.0
        self.evening_doji_star = _evening_doji_star(self, c) if judged else 0.0
        self.evening_star = _evening_star(self, c) if judged else 0.0
        self.identical_three_crows = _identical_three_crows(self, c) if judged else 0.0
        self.morning_doji_star = _morning_doji_star(self, c) if judged else 0.0
        self.morning_star = _morning_star(self, c) if judged else 0.0
        self.stalled_pattern = _stalled_pattern(self, c) if judged else 0.0
        self.three_inside = _three_inside(self, c) if judged else 0.0
        self.three_stars_in_south = _three_stars_in_south(self, c) if judged else 0.0
        self.three_white_soldiers = _three_white_soldiers(self, c) if judged else 0.0
        self.tristar = _tristar(self, c) if judged else 0.0
        self.two_crows = _two_crows(self, c) if judged else 0.0
        self.unique_three_river = _unique_three_river(self, c) if judged else 0.0
        self.upside_gap_two_crows = _upside_gap_two_crows(self, c) if judged else 0.0

    def _after_13(self, c: Any) -> None:
        judged = c.judge(13)
        self.concealing_baby_swallow = _concealing_baby_swallow(self, c) if judged else 0.0
        self.three_black_crows = _three_black_crows(self, c) if judged else 0.0

    def _after_14(self, c: Any) -> None:
        judged = c.judge(14)
        self.breakaway = _breakaway(self, c) if judged else 0.0
        self.ladder_bottom = _ladder_bottom(self, c) if judged else 0.0
        self.rise_fall_three_methods = _rise_fall_three_methods(self, c) if judged else 0.0
        self.penetration = 0.5
        self.mat_hold = _mat_hold(self, c) if judged else 0.0
