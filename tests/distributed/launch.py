"""Run a function on several processes and collect what each returns."""

from __future__ import annotations

import os
import tempfile
import traceback
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from cli import prepare_cpu_ranks


def _entry(rank, world_size, fn, init_file, out_dir, args, backend):
    os.environ['OMP_NUM_THREADS'] = '1'
    torch.set_num_threads(1)
    dist.init_process_group(
        backend, init_method=f'file://{init_file}', rank=rank, world_size=world_size
    )
    try:
        result = fn(rank, world_size, *args)
        torch.save(result, Path(out_dir) / f'{rank}.pt')
    except BaseException:
        (Path(out_dir) / f'{rank}.err').write_text(traceback.format_exc())
        raise
    finally:
        dist.destroy_process_group()


def run_ranks(fn, world_size, *args, backend='gloo'):
    """``[fn(0, world_size, *args), fn(1, ...), ...]``, each run in its own process.

    ``fn`` is a module-level function; its arguments and result must be picklable.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Children fork from a server that has imported the host once: seconds less for each.
        context = mp.get_context('forkserver')
        context.set_forkserver_preload(['mmlt'])
        processes = [
            context.Process(
                target=_entry, args=(rank, world_size, fn, f'{folder}/init', folder, args, backend)
            )
            for rank in range(world_size)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(timeout=180)
        hung = [process for process in processes if process.is_alive()]
        for process in hung:
            process.kill()
        errors = [path.read_text() for path in sorted(Path(folder).glob('*.err'))]
        if errors or hung or any(process.exitcode for process in processes):
            raise RuntimeError('a rank failed or hung\n' + '\n'.join(errors))
        return [
            torch.load(Path(folder) / f'{rank}.pt', weights_only=False)
            for rank in range(world_size)
        ]


def join(cfg, rank, world_size):
    """Let a run be one of several ranks, whose group stands already."""
    if world_size > 1:
        os.environ.update(  # as torchrun does
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE=str(world_size),
            MASTER_ADDR='127.0.0.1',
            MASTER_PORT='0',
        )
        cfg.launcher = 'pytorch'
        prepare_cpu_ranks(cfg)
