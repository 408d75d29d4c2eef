"""Every method's recipe trains in MMEngine's wrapper for several processes.

The wrapper ends a run at its second step if a parameter has no gradient; on one process nothing is
seen of that.
"""

from __future__ import annotations

from pathlib import Path

from tests.distributed.launch import run_ranks

RECIPES = Path(__file__).resolve().parents[2] / 'configs' / 'cifar10_lt'
COUNTS = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


def train_each(rank: int, world_size: int, paths: list[str]) -> dict[str, str]:
    import torch
    from mmengine.config import Config
    from mmengine.model import MMDistributedDataParallel
    from mmengine.optim import OptimWrapper
    from mmengine.registry import init_default_scope
    from mmpretrain.registry import MODELS
    from mmpretrain.structures import DataSample

    import mmlt  # noqa: F401  registers

    init_default_scope('mmpretrain')
    ended = {}
    for path in paths:
        torch.manual_seed(0)
        cfg = Config.fromfile(path)
        cfg.model.backbone.depth = 8
        cfg.model.train_cfg = None  # mixing has no parameters
        network = MODELS.build(cfg.model)
        for part in network.modules():
            if hasattr(part, 'set_class_counts'):
                part.set_class_counts(COUNTS)
            if hasattr(part, 'set_progress'):
                part.set_progress(epoch=0, max_epochs=1, iteration=0, seed=0)
        wrapped = MMDistributedDataParallel(network)
        wrapper = OptimWrapper(torch.optim.SGD(wrapped.parameters(), lr=0.01))
        contrastive = type(network.head).__name__ == 'ContrastiveClsHead'
        views = [torch.rand(4, 3, 32, 32) for _ in range(3)]
        samples = [DataSample().set_gt_label(k) for k in range(4)]
        try:
            for _ in range(2):
                inputs = torch.cat(views) if contrastive else views[0]
                with wrapper.optim_context(wrapped):
                    losses = wrapped(inputs, samples, mode='loss')
                wrapper.update_params(network.parse_losses(losses)[0])
        except RuntimeError as error:
            ended[path] = str(error)
    return ended


def test_each_recipe_takes_two_steps_in_the_wrapper():
    chosen: dict[str, str] = {}
    for path in sorted(RECIPES.glob('resnet32_*_ir100.py')):
        chosen.setdefault(path.stem, str(path))
    assert len(chosen) > 20 and 'resnet32_proco_ir100' in chosen
    [ended] = run_ranks(train_each, 1, list(chosen.values()))
    assert ended == {}
