"""What there is to do beside training: one folder for each command of ``mmlt``."""
