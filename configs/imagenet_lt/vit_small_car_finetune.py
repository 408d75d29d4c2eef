# Confusion-aware spectral regulariser (CAR; Zhu et al., CVPR 2026), fine-tuned.
# tools/dist_train.sh configs/imagenet_lt/vit_small_car_finetune.py 8 --cfg-options load_from=FILE
# FILE is a pre-trained ViT-S/16. 8 GPUs, batch 128. Not yet run here.
_base_ = [
    '../_base_/datasets/imagenet_lt_car.py',
    '../_base_/models/vit_small_p16.py',
    '../_base_/schedules/vit_finetune_100e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        num_classes=_base_.num_classes,
        loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='CrossEntropyLoss')),
    )
)
