"""stub: the lead fills the exports in."""
