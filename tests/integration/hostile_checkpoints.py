"""Run by its test in a process of its own: every way to load a checkpoint meets hostile ones.

``python hostile_checkpoints.py FOLDER`` prints a line for each attempt: what was tried, whether the
checkpoint's code ran (a marker file says so), and how the attempt ended.
"""

from __future__ import annotations

import builtins
import io
import pickle
import sys
from pathlib import Path

import torch
from mmengine.runner.checkpoint import load_checkpoint

import mmlt  # noqa: F401
from tests.digits_runner import digits_runner


class Reduced:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def chain(marker):
    """Real ``getattr`` finds ``exec``; a function of torch's own safe list calls it."""
    module = Reduced(getattr, getattr, '__self__')
    execute = Reduced(getattr, module, 'exec')
    code = f'open({str(marker)!r}, "w").close()'
    return Reduced(torch._tensor._rebuild_from_type_v2, execute, None, (code,), {})


def plain(marker):
    """What any unpickling runs."""
    return Reduced(builtins.exec, f'open({str(marker)!r}, "w").close()')


def main(folder):
    good = digits_runner(folder / 'good', 'resnet8_ce')
    good.train()
    content = torch.load(folder / 'good' / 'epoch_1.pth', weights_only=True)

    def attempt(name, marker, function):
        marker.unlink(missing_ok=True)
        try:
            function()
            end = 'loaded'
        except pickle.UnpicklingError:
            end = 'refused'
        print('ATTEMPT', name, 'ran' if marker.exists() else 'idle', end, flush=True)

    for kind, payload in (('chain', chain), ('plain', plain)):
        for zipped in (True, False):
            marker = folder / f'{kind}_{zipped}.marker'
            path = folder / f'{kind}_{zipped}' / 'epoch_1.pth'
            path.parent.mkdir()
            torch.save(
                {**content, 'state_dict': {**content['state_dict'], 'head.x': payload(marker)}},
                path,
                _use_new_zipfile_serialization=zipped,
            )
            (path.parent / 'last_checkpoint').write_text(str(path))
            label = f'{kind},{"zip" if zipped else "legacy"}'
            attempt(f'{label},torch', marker, lambda path=path: torch.load(path))
            attempt(
                f'{label},mmengine',
                marker,
                lambda path=path: load_checkpoint(torch.nn.Linear(1, 1), str(path)),
            )
            attempt(
                f'{label},buffer',
                marker,
                lambda path=path: torch.load(io.BytesIO(path.read_bytes())),
            )
            runs = {
                'resume': dict(max_epochs=2, resume=True),
                'load_from': dict(load_from=str(path)),
                'pretrained': {'model.init_cfg': dict(type='Pretrained', checkpoint=str(path))},
            }
            if kind == 'chain' and zipped:
                for way, options in runs.items():
                    work_dir = path.parent if way == 'resume' else folder / f'{kind}_{way}'
                    runner = digits_runner(work_dir, 'resnet8_ce', **options)
                    attempt(f'{label},{way}', marker, runner.train)
                runner = digits_runner(folder / 'tested', 'resnet8_ce', load_from=str(path))
                attempt(f'{label},test', marker, runner.test)

    # The text of the config, and the name of a file to delete.
    marker, victim = folder / 'config.marker', folder / 'victim.pth'
    victim.write_text('precious')
    content['meta']['config'] = f'import os\nopen({str(marker)!r}, "w").close()\n'
    hub = content['message_hub']
    hub['runtime_info'].update(best_ckpt=str(victim), best_score=-1.0)
    hub['resumed_keys'].update(best_ckpt=True, best_score=True)
    path = folder / 'config' / 'epoch_1.pth'
    path.parent.mkdir()
    torch.save(content, path)
    (path.parent / 'last_checkpoint').write_text(str(path))
    attempt(
        'config', marker, digits_runner(path.parent, 'resnet8_ce', max_epochs=2, resume=True).train
    )
    print('VICTIM', victim.exists(), flush=True)


if __name__ == '__main__':
    main(Path(sys.argv[1]))
