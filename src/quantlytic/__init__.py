"""Quantlytic records the market, asks whether a rule would have worked, and acts on the answer."""
