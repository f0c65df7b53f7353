"""The lake: raw venue messages in a bucket, and the Delta tables made from them."""

from quantlytic.store.lake.lake import Lake, Progress

__all__ = ["Lake", "Progress"]
