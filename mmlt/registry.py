"""The scope ``mmlt``, with which a config inherits from a recipe of this package.

``_base_ = 'mmlt::imagenet_lt/resnext50_concutmix_car.py'`` needs two things. MMEngine must know
the package before it parses the config: importing mmlt tells it. And what such a base builds is
looked up in registries of the scope ``mmlt``, which MMEngine expects in a module of this name. All
parts of mmlt are in MMPretrain's registries; those of the scope are their empty children, which
pass every question on.

The tools of mmlt import it first. A launcher that does not, such as MMPretrain's own, still
evaluates the name of a base before it looks for the file, and so can be made to:
``_base_ = __import__('mmlt').__name__ + '::imagenet_lt/resnext50_concutmix_car.py'``.
"""

from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry
from mmpretrain import registry as registries_of_mmpretrain

__all__: list[str] = []

# This module, not the installed distribution: MMEngine then looks for recipes beside the code that
# was imported, from a wheel, an editable install or a checkout on PYTHONPATH.
MODULE2PACKAGE['mmlt'] = __name__

# Imported when one of these registries is asked for the first time.
_PARTS = ('datasets', 'engine', 'evaluation', 'models', 'visualization')
_LOCATIONS = ['mmlt', *(f'mmpretrain.{part}' for part in _PARTS)]

for _name in registries_of_mmpretrain.__all__:
    _parent = getattr(registries_of_mmpretrain, _name)
    Registry(_parent.name, parent=_parent, scope='mmlt', locations=_LOCATIONS)
