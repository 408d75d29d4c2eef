"""CIFARResNet and CosineClsHead."""

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmlt.models import CIFARResNet, CosineClsHead, KaimingWeight
from mmlt.models.backbones.cifar_resnet import CIFARResNetStage
from tests.configs.test_published_options import recipe


def test_resnet32_has_the_published_size():
    backbone = CIFARResNet(depth=32)
    parameters = sum(p.numel() for p in backbone.parameters()) + 64 * 10 + 10
    assert parameters == 464_154


@pytest.mark.parametrize('depth, convolutions', [(20, 19), (32, 31), (44, 43), (56, 55)])
def test_depth_counts_convolutions_and_the_classifier(depth, convolutions):
    backbone = CIFARResNet(depth=depth)
    found = [m for m in backbone.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(found) == convolutions
    shapes = [tuple(x.shape) for x in backbone(torch.zeros(2, 3, 32, 32))]
    assert shapes == [(2, 64, 8, 8)]


def test_option_a_shortcut_subsamples_and_pads_zeros():
    block = CIFARResNet(depth=8).stages[1][0]
    x = torch.arange(16 * 16.0).reshape(1, 16, 4, 4)
    shortcut = block._shortcut(x)
    assert shortcut.shape == (1, 32, 2, 2)
    torch.testing.assert_close(shortcut[:, 8:24], x[:, :, ::2, ::2])
    assert shortcut[:, :8].abs().sum() == shortcut[:, 24:].abs().sum() == 0


@pytest.mark.parametrize('frozen', [-1, 0, 1, 3])
def test_frozen_stages_learn_nothing(frozen):
    torch.manual_seed(0)
    backbone = CIFARResNet(depth=8, frozen_stages=frozen).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    features = backbone(torch.randn(4, 3, 32, 32))[-1]
    if frozen < 3:
        features.square().sum().backward()
    learning = [p for p in backbone.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in learning)
    if learning:
        torch.optim.SGD(learning, lr=0.1).step()
    fixed = ['conv1.', 'bn1.', 'stages.0.', 'stages.1.', 'stages.2.'][
        : frozen + 2 if frozen >= 0 else 0
    ]
    for name, value in backbone.state_dict().items():
        same = torch.equal(value, before[name])
        assert same == name.startswith(tuple(fixed)), name
    assert not backbone.eval().training and not any(m.training for m in backbone.modules())


def test_stem_and_last_stage_are_the_network():
    whole, stem = CIFARResNet(depth=20), CIFARResNet(depth=20, num_stages=2)
    last = CIFARResNetStage(depth=20, stage=2)
    stem.load_state_dict(
        {
            name: value
            for name, value in whole.state_dict().items()
            if not name.startswith('stages.2.')
        }
    )
    last.blocks.load_state_dict(whole.stages[2].state_dict())
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(last(stem(images)[-1]), whole(images)[-1])
    with pytest.raises(ValueError, match='stage: expected 0 or 1 or 2, got 3'):
        CIFARResNetStage(stage=3)
    with pytest.raises(ValueError, match='depth: expected 6n'):
        CIFARResNetStage(depth=9)


@pytest.mark.parametrize(
    'options',
    [
        dict(num_stages=4),
        dict(depth=33),
        dict(depth=2),
        dict(in_channels=0),
        dict(base_channels=-1),
        dict(depth=32.0),
    ],
)
def test_impossible_backbones_are_refused(options):
    with pytest.raises(ValueError, match=f'{list(options)[-1]}: expected'):
        CIFARResNet(**options)


def test_cosine_logits_ignore_the_norms_of_features_and_classes():
    head = CosineClsHead(num_classes=4, in_channels=6, scale=10.0)
    features = torch.randn(3, 6)
    logits = head((features,))
    assert logits.abs().max() <= 10
    with torch.no_grad():
        head.fc.weight.mul_(torch.tensor([1.0, 5.0, 0.1, 3.0])[:, None])
    torch.testing.assert_close(head((7 * features,)), logits)


def test_cosine_head_trains_and_predicts_in_an_unmodified_classifier():
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='CIFARResNet', depth=8),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(
                type='CosineClsHead',
                num_classes=4,
                in_channels=64,
                loss=dict(type='LDAMLoss', logit_scale=30.0, class_counts=[9, 3, 2, 1]),
            ),
        )
    )
    samples = [DataSample().set_gt_label(k) for k in (0, 3)]
    loss = model.loss(torch.randn(2, 3, 32, 32), samples)['loss']
    loss.backward()
    assert model.head.fc.weight.grad.abs().sum() > 0
    predictions = model.eval().predict(torch.randn(2, 3, 32, 32))
    assert float(predictions[0].pred_score.sum()) == pytest.approx(1)


@pytest.mark.parametrize('options', [dict(num_classes=1), dict(scale=0.0), dict(in_channels=None)])
def test_impossible_heads_are_refused(options):
    with pytest.raises(ValueError, match=f'{next(iter(options))}: expected'):
        CosineClsHead(**{'num_classes': 3, 'in_channels': 4, **options})


class TestStart:
    """Initial weights are those of the released code: their spread, not their values."""

    def test_convolutions_are_spread_by_their_inputs(self):
        net = CIFARResNet(depth=32)
        net.init_weights()
        first = [net.conv1, *(stage[0].conv1 for stage in net.stages)]
        spread = [float(conv.weight.std()) for conv in first]
        assert spread == pytest.approx([0.272, 0.118, 0.118, 0.083], rel=0.12)

    def test_rows_of_a_cosine_classifier_have_norm_one(self):
        head = CosineClsHead(num_classes=7, in_channels=5)
        head.init_weights()
        torch.testing.assert_close(head.fc.weight.norm(dim=1), torch.ones(7))

    def test_linear_classifier_of_the_cifar_recipes(self):
        torch.manual_seed(0)
        model = MODELS.build(recipe('cifar100_lt/resnet32_ce_ir100').model)
        made = model.head.fc.bias.clone()
        model.init_weights()
        assert float(model.head.fc.weight.std()) == pytest.approx((2 / 64) ** 0.5, rel=0.12)
        # Uniform on +-1 / 8, as PyTorch made it.
        bias = model.head.fc.bias
        assert torch.equal(bias, made)
        assert bias.min() < -0.1 and bias.max() > 0.1 and bias.abs().max() <= 0.125

    def test_weights_of_another_kind_of_layer_stay(self):
        layers = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Linear(4, 5))
        before = [layer.weight.clone() for layer in layers]
        KaimingWeight(layer='Conv2d')(layers)
        assert not torch.equal(layers[0].weight, before[0])
        assert torch.equal(layers[1].weight, before[1])

    @pytest.mark.parametrize('name', ['resnet50_bcl', 'resnext50_concutmix'])
    def test_residual_blocks_of_bcl_start_with_their_branch(self, name):
        backbone = recipe(f'imagenet_lt/{name}').model.backbone
        assert backbone.zero_init_residual is False


@pytest.mark.parametrize('loss', ['CrossEntropyLoss', 'LogitAdjustedLoss'])
def test_the_head_checks_labels_whatever_its_loss_does(loss):
    head = CosineClsHead(num_classes=3, in_channels=4, loss=dict(type=loss))
    if loss == 'LogitAdjustedLoss':
        head.loss_module.set_class_counts([3, 2, 1])
    features = (torch.ones(2, 4),)

    def loss_of(*labels, dtype=torch.int64):
        samples = [DataSample(gt_label=torch.tensor([k], dtype=dtype)) for k in labels]
        return head.loss(features, samples)['loss']

    for wrong in (3, -1):
        with pytest.raises(ValueError, match=rf'^CosineClsHead.gt_label: .*\[0, 3\), got {wrong}$'):
            loss_of(0, wrong)
    with pytest.raises(ValueError, match='gt_label: expected integers, got '):
        loss_of(0, 1, dtype=torch.float32)
    assert torch.equal(loss_of(0, 2, dtype=torch.int16), loss_of(0, 2))


def test_topk_is_one_number_or_several_but_no_more_than_classes():
    samples = [DataSample().set_gt_label(0)]
    head = CosineClsHead(num_classes=3, in_channels=4, topk=1, cal_acc=True)
    assert 'accuracy_top-1' in head.loss((torch.ones(1, 4),), samples)
    with pytest.raises(ValueError, match=r'topk: expected an integer in \[1, 3\], got 5'):
        CosineClsHead(num_classes=3, in_channels=4, topk=(1, 5), cal_acc=True)
    CosineClsHead(num_classes=3, in_channels=4, topk=(1, 5))  # without effect
