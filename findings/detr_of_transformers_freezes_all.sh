#!/usr/bin/env bash
# Of a DETR whose backbone is one of Hugging Face's own ResNets, no number of the backbone learns.
# One would guess: as in Meta's code, and as with a backbone of timm, stem and first stage stay as
#   they are, and the three other stages learn.
# Versions: transformers 4.57.6, torch 2.13.0, numpy 2.4.6, scipy 1.17.1, pillow 13.0.0.
# Behaviour: with use_timm_backbone=False and a ResNetConfig every parameter of the backbone has
#   requires_grad=False: those to train are looked for by 'stage.1', 'stage.2' and 'stage.3', and
#   the parameters are called 'encoder.stages.1...'. Nothing warns; the loss falls by the rest of
#   the model. Setting requires_grad to True behind the constructor trains them.
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

torch.manual_seed(0)
body = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 1, 1],
                    layer_type='basic', out_features=['stage4'])
config = DetrConfig(use_timm_backbone=False, use_pretrained_backbone=False, backbone=None,
                    backbone_config=body, d_model=16, encoder_layers=1, decoder_layers=1,
                    encoder_attention_heads=2, decoder_attention_heads=2, num_queries=3,
                    num_labels=2)
model = DetrForObjectDetection(config).train()
backbone = dict(model.model.backbone.named_parameters())
labels = [dict(class_labels=torch.tensor([1]), boxes=torch.tensor([[0.5, 0.5, 0.2, 0.2]]))]
model(torch.randn(1, 3, 64, 64), labels=labels).loss.backward()
learns = [name for name, weight in backbone.items() if weight.grad is not None]
stages = sorted({name for name in backbone if 'stages.3' in name})
rest = sum(weight.grad is not None for weight in model.parameters()) - len(learns)
print(f'{len(backbone)} parameters of the backbone, of which {len(learns)} get a gradient;'
      f' of the others {rest}; one of the last stage is called {stages[0]}')
assert len(backbone) > 10 and not learns and rest > 20 and stages
PY
HF_HUB_OFFLINE=1 env/bin/python show.py 2>/dev/null
echo 'As described: transformers 4.57.6 trains nothing of such a backbone.'
