"""The alert service: people sign up, confirm, choose and stop; by pages and by an HTTP API."""
