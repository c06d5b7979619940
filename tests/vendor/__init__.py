"""Clients that others wrote, unmodified, against this service."""
