"""Where daily history comes from, besides the vendors' own rooms."""
