# Logit adjustment (Menon et al., ICLR 2021), fine-tuned.
# tools/dist_train.sh configs/inat2018/convnext_tiny_logit_adjustment_finetune.py 8
# 8 GPUs, batch 256, ImageNet weights, all layers. Not yet run here.
_base_ = [
    '../_base_/datasets/inat2018.py',
    '../_base_/models/convnext_tiny_pretrained.py',
    '../_base_/schedules/finetune_30e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        num_classes=_base_.num_classes, loss=dict(_delete_=True, type='LogitAdjustedLoss', tau=1.0)
    )
)
