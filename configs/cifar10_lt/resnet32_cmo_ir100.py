# CMO (Park et al., CVPR 2022): CutMix with a rare-class foreground, cross-entropy.
# python tools/train.py configs/cifar10_lt/resnet32_cmo_ir100.py
# 1 GPU, batch 128. As in the released code the first four epochs and the last three are not mixed.
# Not yet run here.
_base_ = [
    '../_base_/datasets/cifar10_lt_pairs.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_200e_cmo.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(num_classes=_base_.num_classes), train_cfg=dict(augments=dict(type='CMOBatchAugment'))
)
