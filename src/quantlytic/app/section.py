"""What every section of the settings is, and the kinds of values that several have."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from quantlytic.model.errors import InputError
from quantlytic.model.time import duration_ns


def _checked(value: str) -> str:
    try:
        duration_ns(value)
    except InputError as error:
        raise ValueError(str(error)) from None  # so that the setting's name is told with it
    return value


Duration = Annotated[str, AfterValidator(_checked)]
"""A time such as "250ms", "90s", "1h" or "1d", as it was written."""


class Section(BaseModel):
    """Refuses names that it does not know."""

    model_config = ConfigDict(extra="forbid")
