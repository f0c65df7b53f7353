"""What a line's numbers mean: one thing for as long as the line lives, for whoever reads them does not ask again."""

from __future__ import annotations

import msgspec

from quantlytic.learn.labels.labelspec import LabelSpec
from quantlytic.learn.models.model import RETURN
from quantlytic.learn.registry.artifact import Manifest
from quantlytic.model.errors import InputError

RISE, PAID, MEAN_RETURN = "the chance of a rise", "the chance that its signal pays", "a return"


class Target(msgspec.Struct, frozen=True):
    """What a model forecasts: `meaning`, in which unit and of what, and the `label` it learned."""

    meaning: str
    label: LabelSpec

    def check(self, served: Target, *, new_label: bool = False) -> None:
        """InputError where a line that forecasts `served` may not be given this: another meaning never, another label (another
        horizon) only where that is meant."""
        if self.meaning != served.meaning:
            raise InputError(
                f"the line forecasts {served.meaning}, this model {self.meaning}: who reads the line would take one for the "
                "other. Give its spec another name, and make that a line of its own"
            )
        if self.label != served.label and not new_label:
            raise InputError(
                f"the line forecasts {served.meaning} by the label {_words(served.label)}, this model by {_words(self.label)}: "
                "`quantlytic models promote ... --new-label`, if that is meant"
            )


def target_of(manifest: Manifest) -> Target:
    """A model's."""
    meaning = MEAN_RETURN if manifest.task == RETURN else PAID if manifest.label.kind == "meta" else RISE
    return Target(meaning, manifest.label)


def _words(label: LabelSpec) -> str:
    """`direction {"horizon":3}`: what is not as it is by default."""
    given = {name: value for name, value in msgspec.to_builtins(label).items() if name != "kind"}
    return f"{label.kind} {msgspec.json.encode(given).decode()}" if given else label.kind
