"""`quantlytic daily` in a process of its own: its arguments are the command's."""

from __future__ import annotations

from quantlytic.app.commands.daily import command

if __name__ == "__main__":
    command()
