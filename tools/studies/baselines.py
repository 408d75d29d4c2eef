# The baselines on the digits.
study = {
    'CE': ('resnet8_ce', {}),
    'class-balanced sampling': ('resnet8_class_balanced', {}),
    'LDAM-DRW': ('resnet8_ldam_drw', {}),
    'Remix': ('resnet8_remix', {}),
    'logit adjustment': ('resnet8_logit_adjustment', {}),
}
