"""The harness of docs/reliability.md: ``python -m tests.faults --help``."""
