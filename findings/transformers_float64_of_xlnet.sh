#!/usr/bin/env bash
# A model that is loaded in float64 comes half in float32, and its float64 weights lose digits.
# One would guess: XLNetLMHeadModel.from_pretrained(folder, dtype=torch.float64) of a folder that
#   was written in float64 gives the weights that were written, all in float64.
# Versions: transformers 4.57.6, torch 2.13.0, numpy 2.4.6.
# Behaviour: the parameters that the model's code makes as torch.FloatTensor (q, k, v, o, r, their
#   biases and seg_embed of every layer, mask_emb) stay float32 and hold rounded values; the others
#   are float64. No warning at loading; the first call ends in RuntimeError: expected scalar type
#   Float but found Double. `.double()` behind it makes the call run, with the rounded values. BERT,
#   whose parameters come from torch.nn layers, comes as it was written.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
  transformers==4.57.6 torch==2.13.0 numpy==2.4.6

cat > show.py <<'PY'
import torch
from transformers import BertConfig, BertForMaskedLM, XLNetConfig, XLNetLMHeadModel

torch.manual_seed(0)
bert = BertConfig(vocab_size=17, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                  intermediate_size=32, max_position_embeddings=8)
xlnet = XLNetConfig(vocab_size=17, d_model=16, n_layer=1, n_head=2, d_inner=32)
found = {}
for cls, config in ((BertForMaskedLM, bert), (XLNetLMHeadModel, xlnet)):
  model = cls(config).double()
  with torch.no_grad():
    for parameter in model.parameters():
      parameter.normal_(0, 0.3)
  model.save_pretrained(cls.__name__)
  back = cls.from_pretrained(cls.__name__, dtype=torch.float64)
  written = dict(model.named_parameters())
  single = sorted(k.split('.')[-1] for k, p in back.named_parameters() if p.dtype == torch.float32)
  far = max(float((p - written[k]).abs().max()) for k, p in back.named_parameters())
  try:
    with torch.no_grad():
      back(torch.tensor([[1, 2, 3]]))
    said = 'runs'
  except RuntimeError as error:
    said = str(error).splitlines()[0]
  found[cls.__name__] = len(single), far, said
  print(f'{cls.__name__}: in float32 {single}, furthest from what was written {far:.1e}; {said}')
assert found['BertForMaskedLM'] == (0, 0.0, 'runs'), found
count, far, said = found['XLNetLMHeadModel']
assert count == 10 and 1e-9 < far < 1e-6 and 'Float' in said, found
PY
HF_HUB_OFFLINE=1 env/bin/python show.py 2>/dev/null
echo 'As described: transformers 4.57.6 loads half of a float64 XLNet in float32.'
