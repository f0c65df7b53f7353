"""Binance, spot and USD-M futures; the exchange in a box speaks the same protocol and is reached by the same code."""
