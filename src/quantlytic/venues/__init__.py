"""Venues: where market data comes from and where orders go. `port` says what a venue is; one adapter a venue."""
