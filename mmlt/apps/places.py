"""Settings without the places on this machine, so that a project and its images may move."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

__all__ = ['content_of_list', 'images_of', 'without_places']


def without_places(settings: dict[str, Any], config: Path | None) -> dict[str, Any]:
    """Settings with paths from the folder of the project, if they are inside it.

    A folder of images that a list names may be anywhere, but keeps its name; what the list says
    stands beside it.

    Args:
        settings: plain types.
        config: recipe, in the folder of the project or in ``configs`` there; None: no project.
    """
    root = None if config is None else config.resolve().parent
    if root is not None and root.name == 'configs':
        root = root.parent
    known: dict[str, Any] = _relative(settings, root)
    return known


def _relative(node: Any, root: Path | None) -> Any:
    if isinstance(node, dict):
        listed = content_of_list(node)
        known = {key: _relative(part, root) for key, part in node.items()}
        if listed is not None:
            known['data_prefix'] = _names(known.get('data_prefix'))
            known['ann_file'] = f'{known["ann_file"]} ({listed})'
        return known
    if isinstance(node, list):
        return [_relative(part, root) for part in node]
    if root is not None and isinstance(node, str) and Path(node).is_relative_to(root):
        return Path(node).relative_to(root).as_posix()
    return node


def _names(prefix: Any) -> Any:
    """A folder of images, or several by their use, without where they are."""
    if isinstance(prefix, dict):
        return {key: _names(part) for key, part in prefix.items()}
    return Path(prefix).name if isinstance(prefix, str) and Path(prefix).is_absolute() else prefix


def images_of(dataset: Any) -> Any:
    """What a config of a data set says of its images, without what prepares them.

    Of a list it is the content, since two names may hold the same.
    """
    if isinstance(dataset, dict):
        kept = {k: v for k, v in dataset.items() if k not in ('pipeline', 'test_mode')}
        listed = content_of_list(dataset)
        if listed is not None:
            kept['ann_file'] = listed
        return {key: images_of(part) for key, part in kept.items()}
    return [images_of(part) for part in dataset] if isinstance(dataset, (list, tuple)) else dataset


def content_of_list(dataset: dict[str, Any]) -> str | None:
    """What the list of a data set says, in short; None where there is none to be read."""
    name, root = dataset.get('ann_file'), dataset.get('data_root')
    if not isinstance(name, str) or not name:
        return None
    try:
        content = Path(root if isinstance(root, str) else '', name).read_bytes()
    except OSError:
        return None
    return f'sha256 {hashlib.sha256(content).hexdigest()[:12]}'
