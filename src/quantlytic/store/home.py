"""Where everything recorded lies, without the rest of the settings."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from quantlytic.model.errors import InputError


def home_folder() -> Path:
    """`load_settings().home`, for a command that needs no other setting: a third of a second sooner.

    Raises InputError when quantlytic.toml cannot be read.
    """
    for name, value in os.environ.items():
        if name.upper() == "QUANTLYTIC_HOME":
            if not value.strip():
                raise InputError("QUANTLYTIC_HOME is empty: name a folder, or unset it")
            return Path(value)
    try:
        with open("quantlytic.toml", "rb") as file:
            home = tomllib.load(file).get("home", "quantlytic-data")
    except FileNotFoundError:
        home = "quantlytic-data"
    except (OSError, ValueError) as error:
        raise InputError(f"quantlytic.toml cannot be read: {error}") from None
    if not isinstance(home, str):
        raise InputError(
            f"setting 'home': it must be a path, not {home!r}; mend it in {os.path.abspath('quantlytic.toml')}"
        )
    return Path(home)
