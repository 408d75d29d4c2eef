"""Configuration of the documentation site; `make docs` builds it with warnings as errors."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

project = 'mmlt'
author = 'The mmlt authors'
project_copyright = 'The mmlt authors'
release = importlib.import_module('mmlt.version').__version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
exclude_patterns = ['_build', 'results/logs']
html_theme = 'furo'
html_title = f'mmlt {release}'
html_copy_source = False

myst_enable_extensions = ['dollarmath', 'deflist']
myst_heading_anchors = 3

# Docstrings say shapes and meaning; the types stand in the signatures.
autodoc_typehints = 'signature'
autodoc_member_order = 'bysource'
autodoc_preserve_defaults = True
napoleon_use_rtype = False

nitpicky = True
# The build needs no network, so no inventory of another project is read: names of other packages
# cannot become links. Names of mmlt have to exist, see below.
_OTHERS = 'collections|mmcv|mmengine|mmpretrain|nn|np|numpy|pathlib|torch|typing'
nitpick_ignore_regex = [(r'py:\w+', rf'({_OTHERS})\..*')]

# Where the public names are documented, on the pages below api/.
PUBLIC = (
    'mmlt.functional',
    'mmlt.models',
    'mmlt.datasets',
    'mmlt.datasets.samplers.epoch',
    'mmlt.hooks',
    'mmlt.evaluation',
)


def resolve_mmlt(app, env, node, contnode):
    """Find what a docstring or an annotation names by the place of its definition.

    ``mmlt.models.losses.car_loss.CARLoss`` becomes a link to ``mmlt.models.CARLoss``. A name that
    is defined in mmlt but not public stays plain text; one that is defined nowhere is a warning.
    """
    if node.get('refdomain') != 'py':
        return None
    path = node['reftarget'].split('.')
    python = env.get_domain('py')
    for tail in ('.'.join(path[-2:]), path[-1]):
        for package in PUBLIC:
            name = f'{package}.{tail}'
            if name in python.objects:
                return python.resolve_xref(
                    env, node['refdoc'], app.builder, node['reftype'], name, node, contnode
                )
    return contnode if is_defined(path) else None


def is_defined(path):
    """Whether the last part of a dotted name, or the last two, is found in a module of mmlt."""
    modules = [module for name, module in list(sys.modules.items()) if name.startswith('mmlt')]
    owners = [getattr(module, path[-2], None) for module in modules] if len(path) > 1 else []
    return any(hasattr(place, path[-1]) for place in modules + [o for o in owners if o is not None])


def setup(app):
    app.connect('missing-reference', resolve_mmlt)
