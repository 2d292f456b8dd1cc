#!/usr/bin/env bash
# A setting of DETR that asks for more losses in training changes what the model predicts.
# One would guess: auxiliary_loss=True, which its documentation calls whether auxiliary decoding
#   losses (loss at each decoder layer) are to be used, leaves the predictions of given weights as
#   they are, as aux_loss of Meta's code does.
# Versions: transformers 4.57.6, torch 2.13.0, numpy 2.4.6, scipy 1.17.1, pillow 13.0.0.
# Behaviour: with it the decoder's last norm is applied behind every layer, and what it gives goes on
#   into the next layer; in Meta's code only the heads see it. So the same weights find other boxes,
#   in evaluation too, as soon as that norm has learned a scale or a bias; newly made, when it has
#   neither, there is no difference to see. Weights that were trained by Meta's code, or without the
#   setting, are with it not used as they were trained.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
  transformers==4.57.6 torch==2.13.0 numpy==2.4.6 scipy==1.17.1 pillow==13.0.0

cat > show.py <<'PY'
import torch
from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

body = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 1, 1],
                    layer_type='basic', out_features=['stage4'])
words = dict(use_timm_backbone=False, use_pretrained_backbone=False, backbone=None,
             backbone_config=body, d_model=16, encoder_layers=1, decoder_layers=3,
             encoder_attention_heads=2, decoder_attention_heads=2, num_queries=3, num_labels=2)
torch.manual_seed(0)
plain = DetrForObjectDetection(DetrConfig(**words)).eval()
more = DetrForObjectDetection(DetrConfig(**words, auxiliary_loss=True)).eval()
pixels, difference = torch.randn(1, 3, 64, 64), {}
for learned in (False, True):
  if learned:  # what training does to the decoder's last norm
    norm = plain.model.decoder.layernorm
    torch.nn.init.normal_(norm.weight, 1, 0.5)
    torch.nn.init.normal_(norm.bias, 0, 0.5)
  more.load_state_dict(plain.state_dict())
  with torch.no_grad():
    one, two = (model(pixels).logits for model in (plain, more))
  difference[learned] = ((one - two).norm() / one.norm()).item()
  print(f'norm {"as learned" if learned else "newly made"}: with auxiliary_loss=True the logits of'
        f' the same weights differ by {difference[learned]:.1e} of their size')
assert difference[False] < 1e-3 and difference[True] > 1e-2, difference
PY
HF_HUB_OFFLINE=1 env/bin/python show.py 2>/dev/null
echo 'As described: in transformers 4.57.6 auxiliary_loss changes what DETR predicts.'
