"""What `recommend` found: for each instrument an answer, a strategy or none, and the evidence it rests on."""

from __future__ import annotations

import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from quantlytic.research.advice.finding import Finding
from quantlytic.research.advice.recommendtext import in_one_line

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Recommendation:
    """`findings`: one for each instrument that was finished. `manifest`: what was asked, ready for JSON."""

    findings: list[Finding]
    manifest: dict[str, Any]
    interrupted: bool = False
    elapsed_s: float = 0.0
    resumed: int = 0
    """How many findings were kept from an earlier run that was interrupted."""

    @property
    def answers(self) -> dict[str, str | None]:
        """Strategy by symbol; None for none."""
        return {one.symbol: one.strategy for one in self.findings}

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        return in_one_line(self.findings)

    def __repr__(self) -> str:
        return "\n".join([self.sentence, *(one.sentence for one in self.findings)])

    @property
    def table(self) -> pl.DataFrame:
        """A Polars frame: a row for each instrument and strategy, with its figures."""
        import polars as pl

        return pl.DataFrame(self.rows(), infer_schema_length=None)

    def rows(self) -> list[dict[str, Any]]:
        """The rows of `table`."""
        return [
            {
                "symbol": finding.symbol, "strategy": one.strategy, "recommended": one.strategy == finding.strategy,
                "doubt": one.doubt, "sharpe": one.sharpe, "cagr": one.cagr, "total_return": one.total_return,
                "max_drawdown": one.max_drawdown, "round_trips": one.round_trips, "stretches": len(one.stretches),
                "stretches_earned": one.earned, "beta": one.beta, "psr": one.psr, "dsr": one.dsr,
                "dsr_alpha": one.dsr_alpha, "dsr_strategies": one.dsr_strategies, "hold_sharpe": finding.hold.sharpe,
                "hold_cagr": finding.hold.cagr, "trials": finding.trials,
            }
            for finding in self.findings
            for one in finding.tested
        ]  # fmt: skip

    def summary(self) -> dict[str, Any]:
        """Ready for JSON: the answers, the evidence, the manifest."""
        return {
            "sentence": self.sentence,
            "answers": self.answers,
            "interrupted": self.interrupted,
            "resumed": self.resumed,
            "findings": msgspec.to_builtins(self.findings),
            "manifest": self.manifest,
            "elapsed_s": round(self.elapsed_s, 3),
        }

    def plot(self, path: str | Path = "recommend.html", *, show: bool = False) -> Path:
        """Write one HTML page that needs no network; returns its path. Raises InputError when it cannot be written."""
        from quantlytic.research.pages.recommendpage import write_page  # its template engine takes a while to import

        written = write_page(self.findings, self.manifest, self.interrupted, Path(path))
        if show:
            webbrowser.open(written.resolve().as_uri())
        return written
