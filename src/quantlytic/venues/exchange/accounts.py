"""Balances in whole e8 units. Nothing is made or lost: the sum of an asset over all accounts never changes."""

from __future__ import annotations

CROWD = "crowd"
FEES = "fees"


class Accounts:
    """Free and locked balances of every account. `CROWD` is the synthetic market, `FEES` receives all commissions.

    A fee is taken from what the account receives (base for a buyer, quote for a seller), `ppm` parts in a million,
    rounded down to a whole e8 unit.
    """

    def __init__(self) -> None:
        self.balances: dict[str, dict[str, list[int]]] = {CROWD: {}, FEES: {}}
        self.touched: set[tuple[str, str]] = set()

    def deposit(self, account: str, asset: str, amount: int) -> None:
        """Create money: at the opening of an account, and never after."""
        self._entry(account, asset)[0] += amount

    def free(self, account: str, asset: str) -> int:
        """What the account may use."""
        return self._peek(account, asset)[0]

    def locked(self, account: str, asset: str) -> int:
        """What its open orders hold back."""
        return self._peek(account, asset)[1]

    def lock(self, account: str, asset: str, amount: int) -> None:
        """Hold back. The caller has checked that there is enough."""
        entry = self._entry(account, asset)
        assert 0 <= amount <= entry[0], (account, asset, amount, entry)
        entry[0] -= amount
        entry[1] += amount

    def unlock(self, account: str, asset: str, amount: int) -> None:
        """Give back what an order held."""
        entry = self._entry(account, asset)
        assert 0 <= amount <= entry[1], (account, asset, amount, entry)
        entry[1] -= amount
        entry[0] += amount

    def pay(self, payer: str, payee: str, asset: str, amount: int, ppm: int) -> int:
        """Move a locked amount to the payee's free balance, less the payee's fee of `ppm`. Returns the fee."""
        entry = self._entry(payer, asset)
        assert 0 <= amount <= entry[1], (payer, asset, amount, entry)
        fee = amount * ppm // 1_000_000
        entry[1] -= amount
        self._entry(payee, asset)[0] += amount - fee
        if fee:
            self._entry(FEES, asset)[0] += fee
        return fee

    def totals(self) -> dict[str, int]:
        """Free and locked of all accounts together, per asset."""
        sums: dict[str, int] = {}
        for assets in self.balances.values():
            for asset, (free, locked) in assets.items():
                sums[asset] = sums.get(asset, 0) + free + locked
        return sums

    def _entry(self, account: str, asset: str) -> list[int]:
        self.touched.add((account, asset))
        return self.balances.setdefault(account, {}).setdefault(asset, [0, 0])

    def _peek(self, account: str, asset: str) -> list[int]:
        return self.balances.get(account, {}).get(asset) or [0, 0]
