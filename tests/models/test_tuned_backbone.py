"""Parameter-efficient training: what learns, what is stored, and on what it is loaded."""

from __future__ import annotations

import hashlib
from copy import deepcopy

import pytest
import torch
from mmengine.model import PretrainedInit
from mmengine.optim import build_optim_wrapper
from mmengine.runner.checkpoint import get_state_dict, load_state_dict
from mmpretrain.registry import MODELS

from mmlt.functional.checks import OptionError
from mmlt.models import TunedBackbone
from tests.configs.recipes import resolved
from tests.models.tuned import ARCH, VIT, tuned, write_base

TUNES = ['lora', 'adapter', 'bias', 'last_blocks', 'frozen', 'full']
IMAGES = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)


@pytest.fixture
def base(tmp_path):
    return write_base(tmp_path / 'vit.pth')


def plain(base):
    vit = MODELS.build(dict(deepcopy(VIT), init_cfg=base))
    vit.init_weights()
    vit.eval()
    return vit


def build(base, tune='adapter', **options):
    return MODELS.build(tuned(base, tune, **options))


def disturb(backbone):
    """A step of training, more or less."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    return backbone


@pytest.mark.parametrize('tune', TUNES)
def test_it_starts_as_the_pretrained_network(base, tune):
    found = build(base, tune).eval()(IMAGES)[-1]
    torch.testing.assert_close(found, plain(base)(IMAGES)[-1], rtol=0, atol=0)


@pytest.mark.parametrize(
    ('tune', 'expected'),
    [
        (
            'lora',
            {f'layers.{i}.attn.qkv.lora_{way}.weight' for i in (0, 1) for way in ('down', 'up')},
        ),
        (
            'adapter',
            {
                f'layers.{i}.ffn.adapter.{way}.{kind}'
                for i in (0, 1)
                for way in ('down', 'up')
                for kind in ('weight', 'bias')
            },
        ),
        ('frozen', set()),
    ],
)
def test_what_learns(base, tune, expected):
    backbone = build(base, tune)
    found = {n for n, p in backbone.module.named_parameters() if p.requires_grad}
    assert found == expected
    backbone.train()(IMAGES)[-1].square().sum().backward() if expected else None
    assert {n for n, p in backbone.module.named_parameters() if p.grad is not None} == expected


def test_what_learns_of_the_network_itself(base):
    names = [name for name, _ in plain(base).named_parameters()]

    def learning(tune, **options):
        module = build(base, tune, **options).module
        return [name for name, p in module.named_parameters() if p.requires_grad]

    assert learning('full') == names
    assert learning('bias') == [name for name in names if name.endswith('bias')]
    last = [name for name in names if name.startswith(('layers.1.', 'ln1.'))]
    assert learning('last_blocks', num_blocks=1) == last


def test_lora_and_adapters_are_what_the_papers_say(base):
    """Against their formulas, on the weights of one block."""
    x = torch.randn(3, 32)
    lora = disturb(build(base, 'lora')).module.layers[0].attn.qkv
    product = lora.lora_up.weight @ lora.lora_down.weight
    expected = x @ (lora.original_layer.weight + product).T + lora.original_layer.bias
    torch.testing.assert_close(lora(x), expected)
    mlp = disturb(build(base, 'adapter', scale=0.1)).module.layers[0].ffn
    part, normed = mlp.adapter, torch.randn(3, 32)
    hidden = (x @ part.down.weight.T + part.down.bias).clamp(min=0)
    expected = mlp.mlp(normed, identity=x) + 0.1 * (hidden @ part.up.weight.T + part.up.bias)
    torch.testing.assert_close(mlp(normed, identity=x), expected)
    learned = build(base, 'adapter', scale=None).module.layers[0].ffn.adapter
    assert learned.scale.item() == 1 and learned.scale.requires_grad
    assert isinstance(learned.norm, torch.nn.LayerNorm)


@pytest.mark.parametrize('of', [get_state_dict, torch.nn.Module.state_dict])
@pytest.mark.parametrize('tune', TUNES)
def test_a_state_dict_holds_what_the_file_does_not(base, tune, of):
    model = torch.nn.ModuleDict(dict(first=torch.nn.Linear(1, 1), backbone=build(base, tune)))
    disturb(model)
    state = of(model)
    learned = {name for name, p in model.named_parameters() if p.requires_grad}
    digest = set() if tune == 'full' else {'backbone.base_sha256'}
    assert set(state) == learned | digest
    copy = torch.nn.ModuleDict(dict(first=torch.nn.Linear(1, 1), backbone=build(base, tune)))
    result = copy.load_state_dict(state)
    assert not result.missing_keys and not result.unexpected_keys
    load_state_dict(copy, state, strict=True)
    for name, value in model.named_parameters():
        torch.testing.assert_close(dict(copy.named_parameters())[name], value, msg=name)


def test_an_averaged_copy_stores_as_little(base):
    """``EMAHook`` copies the model and takes all gradients from the copy."""
    from mmengine.model import ExponentialMovingAverage

    model = torch.nn.ModuleDict(dict(backbone=build(base, 'lora')))
    averaged = ExponentialMovingAverage(model)
    expected = {f'module.{name}' for name in model.state_dict()} | {'steps'}
    assert set(averaged.state_dict()) == expected
    averaged.load_state_dict(averaged.state_dict())


@pytest.mark.parametrize('tune', TUNES)
def test_merged_it_is_the_same_network_with_all_weights(base, tune):
    backbone = disturb(build(base, tune)).eval()
    expected = backbone(IMAGES)[-1]
    merged = backbone.merged()
    torch.testing.assert_close(merged(IMAGES)[-1], expected)
    names = set(plain(base).state_dict())
    if tune == 'adapter':
        inside = {
            n.replace('module.', '', 1).replace('.ffn.mlp.', '.ffn.') for n in merged.state_dict()
        }
        assert names < inside
        full = MODELS.build(tuned(None, tune))
        full.load_state_dict(merged.state_dict())
        torch.testing.assert_close(full.eval()(IMAGES)[-1], expected)
    else:
        assert set(merged.state_dict()) == names


def test_batch_norm_of_a_frozen_backbone_stands_still():
    resnet = dict(type='ResNet', depth=18, norm_cfg=dict(type='BN', requires_grad=True))
    for tune, moves in (('frozen', False), ('bias', True)):
        backbone = TunedBackbone(resnet, tune=tune).train()
        before = backbone.module.bn1.running_mean.clone()
        backbone(torch.randn(2, 3, 32, 32))
        assert torch.equal(before, backbone.module.bn1.running_mean) is not moves
        assert 'module.bn1.running_mean' in backbone.state_dict()


def test_norms_that_pretraining_did_without_are_trained(tmp_path):
    base = write_base(tmp_path / 'vit.pth')
    vit = dict(deepcopy(VIT), out_type='avg_featmap')
    backbone = MODELS.build(tuned(base, 'frozen', vit=vit))
    expected = {'module.ln2.weight', 'module.ln2.bias'}
    assert {n for n, p in backbone.named_parameters() if p.requires_grad} == expected
    assert set(backbone.state_dict()) == expected | {'base_sha256'}


def test_weights_of_larger_images_are_fitted(tmp_path):
    """As MMPretrain does, position embeddings are resized; the hash is that of the file."""
    base = write_base(tmp_path / 'vit.pth', img_size=16)
    backbone = disturb(build(base)).eval()
    torch.testing.assert_close(build(base).module.pos_embed, plain(base).pos_embed)
    again = build(base).eval()
    again.load_state_dict(backbone.state_dict())
    torch.testing.assert_close(again(IMAGES)[-1], backbone(IMAGES)[-1], rtol=0, atol=0)


def test_weights_as_safetensors_and_without_a_prefix(tmp_path):
    from safetensors.torch import save_file

    base = write_base(tmp_path / 'vit.pth', prefix='')
    expected = plain(base)(IMAGES)[-1]
    state = torch.load(base['checkpoint'])['state_dict']
    save_file(state, tmp_path / 'vit.safetensors')
    base['checkpoint'] = str(tmp_path / 'vit.safetensors')
    backbone = build(base).eval()
    torch.testing.assert_close(backbone(IMAGES)[-1], expected)
    digest = hashlib.sha256((tmp_path / 'vit.safetensors').read_bytes()).digest()
    assert bytes(backbone.base_sha256.tolist()) == digest


def test_the_head_has_a_learning_rate_of_its_own(base):
    """By MMEngine's ``paramwise_cfg``, as the recipes have it; what is frozen has no gradient."""
    model = torch.nn.ModuleDict(dict(backbone=build(base), head=torch.nn.Linear(32, 10)))
    cfg = deepcopy(resolved('places_lt/convnext_tiny_logit_adjustment_finetune')['optim_wrapper'])
    wrapper = build_optim_wrapper(model, dict(cfg, type='OptimWrapper'))
    names = {id(p): name for name, p in model.named_parameters()}
    rates = {names[id(g['params'][0])]: g['lr'] for g in wrapper.optimizer.param_groups}
    assert {name for name, rate in rates.items() if rate == pytest.approx(1e-3)} == {
        'head.weight',
        'head.bias',
    }
    assert rates['backbone.module.layers.0.ffn.adapter.up.weight'] == pytest.approx(1e-4)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    wrapper.update_params(model.head(model.backbone(IMAGES)[-1]).square().sum())
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert moved <= {n for n, p in model.named_parameters() if p.requires_grad}
    assert len(moved) > 2


def refused(message, make):
    with pytest.raises(OptionError, match=message) as caught:
        make()
    assert '\n' not in str(caught.value)


def test_weights_of_another_architecture_are_one_line(tmp_path, base):
    other = write_base(tmp_path / 'b.pth', arch=dict(ARCH, embed_dims=64))
    refused('expected weights of this VisionTransformer, .*: size mismatch', lambda: build(other))
    other = write_base(tmp_path / 'c.pth', arch=dict(ARCH, num_layers=1))
    refused(r'without 12 of its parameters, such as layers\.1\.', lambda: build(other))
    other = write_base(tmp_path / 'd.pth', arch=dict(ARCH, num_layers=3))
    refused(r'with 12 parameters that it lacks, such as layers\.2\.', lambda: build(other))
    refused("prefix='backbone.' may be missing", lambda: build(dict(base, prefix=None)))
    refused("no name begins with prefix='vit'", lambda: build(dict(base, prefix='vit')))
    missing = str(tmp_path / 'none.pth')
    refused('got no file', lambda: build(dict(base, checkpoint=missing)))


def test_other_checkpoints_are_one_line(tmp_path, base):
    small = build(base).state_dict()
    other = write_base(tmp_path / 'other.pth', seed=1)
    refused(
        'pre-trained weights that it was trained on', lambda: build(other).load_state_dict(small)
    )
    refused('got none in init_cfg', lambda: build(None).load_state_dict(small))
    whole = build(None).state_dict()
    refused('expected a small one', lambda: build(base).load_state_dict(whole))
    alone = plain(base).state_dict()
    refused('got weights of a backbone alone', lambda: build(base).load_state_dict(alone))


@pytest.mark.parametrize(
    ('trained', 'here', 'shapes'),
    [
        (dict(tune='lora'), dict(), r'none, got \(4, 32\)'),
        (dict(), dict(tune='lora'), r'\(4, 32\), got none'),
        (dict(), dict(tune='frozen'), r'none, got \(4,\)'),
        (dict(), dict(scale=None), r'\(32,\), got none'),
        (dict(tune='last_blocks', num_blocks=2), dict(tune='last_blocks', num_blocks=1), 'none,'),
    ],
)
def test_no_trained_part_is_left_out(base, trained, here, shapes):
    state = build(base, **trained).state_dict()
    refused(
        rf'^checkpoint: expected one of the same tune and width, with module\..* of shape {shapes}',
        lambda: build(base, **here).load_state_dict(state, strict=False),
    )


def test_a_checkpoint_of_another_width_is_refused(base):
    other = dict(tuned(base), width=8)
    with pytest.raises(OptionError, match=r'shape \(8,\), got \(4,\)$'):
        MODELS.build(other).load_state_dict(build(base).state_dict(), strict=False)


def test_a_frozen_run_goes_before_the_others(base):
    build(base, 'lora').load_state_dict(build(base, 'frozen').state_dict(), strict=False)


def test_weights_that_are_named_by_the_class_are_known(base):
    named = build(dict(base, type=PretrainedInit), 'lora')
    assert set(named.state_dict()) == set(build(base, 'lora').state_dict())


def test_small_images_are_one_line(base):
    refused('expected at least one patch of 2 x 2 pixels', lambda: build(base)(IMAGES[..., :1]))
    vit = dict(deepcopy(VIT), img_size=1)
    refused('img_size: expected at least one patch', lambda: MODELS.build(tuned(vit=vit)))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(tune='prompt'), "tune: expected 'lora' or"),
        (dict(tune='last_blocks', num_blocks=3), 'num_blocks: expected at most the 2 blocks'),
        (dict(width=0), 'width: expected an integer in'),
        (dict(scale=0), 'scale: expected a number in'),
        (dict(init_cfg=dict(type='Constant')), 'init_cfg: expected none'),
        (dict(backbone=dict(type='ResNet', depth=18)), 'expected a vision transformer'),
        (dict(backbone=3), 'backbone: expected dict'),
    ],
)
def test_options(options, message):
    refused(message, lambda: TunedBackbone(**{'backbone': deepcopy(VIT), **options}))


def test_attention_that_lora_cannot_reach_is_one_line():
    beit = dict(type='BEiTViT', arch=ARCH, img_size=8, patch_size=2)
    refused('attention that calls a layer named qkv', lambda: TunedBackbone(beit, tune='lora'))
    assert TunedBackbone(beit, tune='adapter')(IMAGES)[-1].shape == (2, 32)


@pytest.mark.parametrize('kind', ['DeiT3', 'DistilledVisionTransformer'])
def test_other_vision_transformers(kind):
    vit = dict(type=kind, arch=ARCH, img_size=8, patch_size=2)
    for tune in ('adapter', 'lora', 'last_blocks'):
        feats = TunedBackbone(deepcopy(vit), tune=tune, num_blocks=1)(IMAGES)[-1]
        feats = feats[0] if isinstance(feats, tuple) else feats
        assert feats.shape[-1] == 32
