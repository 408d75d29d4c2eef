# Confusion-aware spectral regulariser (CAR; Zhu et al., CVPR 2026) on cross-entropy.
# tools/dist_train.sh configs/inat2018/vit_small_car.py 8
# 8 GPUs, batch 128. Published top-1: 71.56 %. Not yet run here.
_base_ = [
    '../_base_/datasets/inat2018.py',
    '../_base_/models/vit_small_p16.py',
    '../_base_/schedules/vit_300e.py',
    '../_base_/default_runtime.py',
]

# 16 per GPU: the batch of 128 on 8 GPUs
train_dataloader = dict(batch_size=16)
model = dict(
    head=dict(
        num_classes=_base_.num_classes,
        loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='CrossEntropyLoss')),
    )
)
