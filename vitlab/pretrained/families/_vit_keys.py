"""What the config.json of a published Vision Transformer may say."""

from vitlab.pretrained import keys

TIMM = keys.timm(
  'embed_dim depth num_heads mlp_ratio qkv_bias qk_norm init_values class_token pos_embed'
  ' no_embed_class reg_tokens fc_norm act_layer',
  only=dict(
    norm_layer=('layernorm', 'rmsnorm'),
    attn_layer=('attn', ''),
    scale_attn_norm=(False,),
    scale_mlp_norm=(False,),
    proj_bias=(True,),
    pre_norm=(False,),
    final_norm=(True,),
    pool_include_prefix=(False,),
    dynamic_img_pad=(False,),
    use_naflex=(False,),
  ),
  training='patch_drop_rate fix_init dynamic_img_size',
)
HUGGINGFACE = keys.huggingface(
  'vit',
  'dinov2_with_registers',
  training=(
    'hidden_dropout_prob attention_probs_dropout_prob initializer_range encoder_stride'
    ' drop_path_rate use_mask_token'
  ),
  why=keys.BACKBONE
  | {
    'says what else a backbone gives': 'apply_layernorm reshape_hidden_states',
    'is of the pooler; features are the class token': 'pooler_act pooler_output_size',
  },
)
