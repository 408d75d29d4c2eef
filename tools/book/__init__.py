"""What ``tools/results.py`` makes of the logs in docs/results/logs."""
