#!/usr/bin/env bash
# A forced end of sentence costs nothing, and shares the loss of the others.
# One would guess: the score that beam search gives a sentence is the sum of the log
#   probabilities of its tokens, divided by the length to the power of length_penalty; a token
#   that is forced at max_length pays its own.
# Versions: transformers 4.57.6 (Flax models), flax 0.12.8, jax 0.10.2, numpy 2.4.6.
# Behaviour: with forced_eos_token_id the last token is chosen whatever the model says, and
#   counts as probability 1. A random Marian gives </s> a log probability far below -5 there,
#   yet the score is the sum over the four tokens before it divided by five: better than the
#   mean over all tokens, and better than the mean over the four that were chosen.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
  transformers==4.57.6 flax==0.12.8 orbax-checkpoint==0.12.8 optax==0.2.8 jax==0.10.2 \
  jaxlib==0.10.2 numpy==2.4.6

cat > show.py <<'PY'
import jax
import jax.numpy as jnp
import numpy as np
from transformers import FlaxMarianMTModel, MarianConfig

config = MarianConfig(
  vocab_size=12, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
  decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=32,
  pad_token_id=11, decoder_start_token_id=11, bos_token_id=0, eos_token_id=0, init_std=1.0)
model = FlaxMarianMTModel(config, seed=0)
source = jnp.array([[3, 4, 5, 0]])
found = model.generate(source, num_beams=4, max_length=6, do_sample=False,
                       length_penalty=1.0, forced_eos_token_id=0)
tokens = np.asarray(found.sequences)[0]
logits = model(source, decoder_input_ids=found.sequences[:, :-1]).logits[0]
logits = logits.at[:, 11].set(-jnp.inf)  # the padding is never generated
own = np.asarray(jax.nn.log_softmax(logits))[np.arange(5), tokens[1:]]
score, before = float(found.scores[0]), float(own[:4].sum())
print('tokens after the start', tokens[1:].tolist(), 'log probabilities', [f'{x:.3f}' for x in own])
print(f'score {score:.4f}; mean of all five {own.mean():.4f}, of the four before the end '
      f'{before / 4:.4f}; sum of the four, divided by five {before / 5:.4f}')
assert len(tokens) == 6 and tokens[-1] == 0 and own[-1] < -5, (tokens, own)
assert abs(score - before / 5) < 2e-3 < abs(score - before / 4), (score, before)
PY
JAX_PLATFORMS=cpu env/bin/python show.py
echo 'As described: transformers 4.57.6 counts a forced </s> as certain, and in the length.'
