"""The market's assumptions, a short file each: what the user names, what compiled code computes, and its source."""
