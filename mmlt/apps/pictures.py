"""The one style of all pictures: colours that everybody can tell apart."""

from __future__ import annotations

__all__ = ['COLOURS']

#: Okabe and Ito's palette, without black, which a dark page swallows.
COLOURS = ('#0072B2', '#E69F00', '#009E73', '#CC79A7', '#D55E00', '#56B4E9', '#F0E442')
