"""Run by its test in a process of its own: every way to load a checkpoint meets hostile ones.

``python hostile_checkpoints.py FOLDER`` prints a line for each attempt: what was tried, whether the
checkpoint's code ran (a marker file says so), and how the attempt ended.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import http.server
import io
import os
import pickle
import sys
import threading
from pathlib import Path

import torch
from mmengine.runner.checkpoint import load_checkpoint

import mmlt  # noqa: F401
from mmlt.functional.checks import OptionError
from tests.conftest import plain_text
from tests.digits_runner import digits_config, digits_runner
from tests.tools.load_tool import TOOLS, load_tool

sys.path.insert(0, str(TOOLS))


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


def attempt(name, marker, function):
    marker.unlink(missing_ok=True)
    try:
        with contextlib.redirect_stderr(io.StringIO()) as complaint:
            function()
        end = 'loaded'
    except pickle.UnpicklingError:
        end = 'refused'
    except OptionError as error:  # before the run begins
        reasons = ('expected a checkpoint that loads safely', 'expected a whole checkpoint')
        end = 'refused' if any(reason in str(error) for reason in reasons) else 'failed'
    except SystemExit:  # the converters, with the reason as their last line
        end = (
            'refused'
            if 'expected a checkpoint that loads safely' in complaint.getvalue()
            else 'failed'
        )
    except Exception as error:  # after its code had run, what it left may fit nowhere
        end = f'failed:{type(error).__name__}'
    print('ATTEMPT', name, 'ran' if marker.exists() else 'idle', end, flush=True)


@contextlib.contextmanager
def served(folder):
    """Address under which the files of a folder are found."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(
        ('127.0.0.1', 0), functools.partial(Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()


def ways_to_load(path, config, address, folder):
    """Name of each way -> a function that loads the file."""
    train, test = load_tool('train.py').main, load_tool('test.py').main
    first = {'model.init_cfg': dict(type='Pretrained', checkpoint=str(path))}
    model = torch.nn.Linear(1, 1)
    ways = {
        'torch': lambda: torch.load(path),
        'buffer': lambda: torch.load(io.BytesIO(path.read_bytes())),
        'mmengine': lambda: load_checkpoint(model, str(path)),
        'url': lambda: load_checkpoint(model, f'{address}/{path.parent.name}/{path.name}'),
        'resume': lambda: train([str(config), '--resume']),
        'test.py': lambda: test([str(config), str(path)]),
        'load_from': lambda: digits_runner(folder / 'unused', load_from=str(path)).train(),
        'pretrained': lambda: digits_runner(folder / 'unused', **first).train(),
    }
    for name in ('publish', 'to_plain_classifier', 'rebalance_classifier'):
        arguments = [str(path), str(folder / 'out.pth')]
        if name == 'rebalance_classifier':
            arguments += ['--method', 'tau_norm']
        convert = load_tool(f'model_converters/{name}.py').main
        ways[name] = functools.partial(convert, arguments)
    return ways


def try_code(folder, content, address):
    """Four files, each in every way."""
    for kind, payload in (('chain', chain), ('plain', plain)):
        for zipped in (True, False):
            label = f'{kind},{"zip" if zipped else "legacy"}'
            marker = folder / f'{label}.marker'
            path = folder / label / 'epoch_1.pth'
            path.parent.mkdir()
            torch.save(
                {**content, 'state_dict': {**content['state_dict'], 'head.x': payload(marker)}},
                path,
                _use_new_zipfile_serialization=zipped,
            )
            (path.parent / 'last_checkpoint').write_text(str(path))
            os.environ['TORCH_HOME'] = str(path.parent)  # downloads are found again by their name
            config = folder / label / 'config.py'
            config.write_text(plain_text(digits_config(path.parent, max_epochs=2)))
            for name, way in ways_to_load(path, config, address, folder).items():
                attempt(f'{label},{name}', marker, way)


def try_text(folder, content):
    """The text of the config, and names of files to delete, with ``LongTailHook`` and without."""
    train = load_tool('train.py').main
    for label in ('hook', 'none'):
        home, marker = folder / label / 'runs', folder / f'{label}.marker'
        home.mkdir(parents=True)
        best, old = folder / f'{label}_best.pth', folder / f'{label}_old.pth'
        for victim in (best, old):
            victim.write_text('precious')
        content['meta']['config'] = f'import os\nopen({str(marker)!r}, "w").close()\n'
        hub = content['message_hub']
        planted = dict(
            best_ckpt=str(best), best_score=-1.0, keep_ckpt_ids=[str(old.with_suffix('')), 1]
        )
        hub['runtime_info'].update(planted)
        hub['resumed_keys'].update(dict.fromkeys(planted, True))
        torch.save(content, home / '1.pth')
        (home / 'last_checkpoint').write_text(str(home / '1.pth'))
        keep = dict(max_keep_ckpts=1, filename_tmpl='{}.pth')
        options = {f'default_hooks.checkpoint.{name}': value for name, value in keep.items()}
        cfg = digits_config(home, max_epochs=2, **options)
        if label == 'none':
            del cfg.default_hooks.long_tail
        config = folder / label / 'config.py'
        config.write_text(plain_text(cfg))
        attempt(f'text,{label}', marker, lambda config=config: train([str(config), '--resume']))
        print('VICTIMS', label, best.exists() and old.exists(), flush=True)


def main(folder):
    good = digits_runner(folder / 'good', 'resnet8_ce')
    good.train()
    content = torch.load(folder / 'good' / 'epoch_1.pth', weights_only=True)
    with served(folder) as address:
        try_code(folder, content, address)
    try_text(folder, content)


if __name__ == '__main__':
    main(Path(sys.argv[1]))
