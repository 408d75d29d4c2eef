"""Batch augments: mixing within the batch and with partners."""
