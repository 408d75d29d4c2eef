# CP-Mix (Yoon et al., arXiv 2411.07621) with three experts: a last stage and classifier each.
# python tools/train.py configs/cifar10_lt/resnet32_cpmix_experts_ir100.py
# 1 GPU, batch 128. Not yet run here.
_base_ = './resnet32_cpmix_ir100.py'

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
        loss=dict(type='CrossEntropyLoss'),
    ),
)
