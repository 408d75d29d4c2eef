# Balanced product of calibrated experts (BalPoE; Sanchez Aimar et al., CVPR 2023).
# python tools/train.py configs/cifar100_lt/resnet32_balpoe_ir100.py
# 1 GPU, batch 128. League of experts: three last stages. Top-1 of the released code, as others ran
# it with five seeds: 52.0 %. Trained as cross-entropy is. Not yet run here.
_base_ = './resnet32_ce_ir100.py'

model = dict(
    backbone=dict(num_stages=2),
    neck=None,
    head=dict(
        _delete_=True,
        type='MultiExpertClsHead',
        num_experts=3,
        expert=dict(type='CIFARResNetStage', depth=32, stage=2),
        num_classes=_base_.num_classes,
        in_channels=64,
        # their mean is 1: the mean of the logits is that of a balanced classifier
        loss=[dict(type='LogitAdjustedLoss', tau=tau) for tau in (0.0, 1.0, 2.0)],
    ),
    train_cfg=dict(augments=dict(type='Mixup', alpha=0.4)),
)
