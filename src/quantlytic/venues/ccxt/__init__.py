"""Any of the hundred exchanges that ccxt knows, through its unified interface (`pip install 'quantlytic[ccxt]'`).

Slower and coarser than a venue's own adapter: raw frames hold ccxt's unified messages (with the venue's own in `info`),
books come whole and cut to some levels, and holes in the trades cannot be seen, only that a connection was lost.
"""
