"""Word vectors that people have, as weights of ours and back."""

import jax
import jax.numpy as jnp
import numpy as np

from vitlab import pretrained, registry


def test_vectors_are_weights_and_weights_are_vectors(tmp_path):
  path = tmp_path / 'vectors.txt'
  path.write_text('2 3\ndog 1 2 3\ncat 4 5 6\n')
  assert pretrained.holds_weights(str(path))
  weights = pretrained.read(str(path))
  assert weights.about.spec == dict(name='word2vec', vocab_size=2, width=3)
  assert weights.about.vocabulary == ('dog', 'cat')
  assert pretrained.kind(weights.about.spec) == 'embedding'
  model = registry.make('models', weights.about.spec)
  words = jnp.arange(2)
  like = jax.eval_shape(model.init, jax.random.key(0), words, words)
  variables = weights.load(like)
  vectors, targets = model.apply(variables, words, words)
  np.testing.assert_array_equal(vectors, [[1, 2, 3], [4, 5, 6]])
  assert not targets.any()
  for format in ('word2vec', 'word2vec_binary', 'glove'):
    again = pretrained.read(
      str(pretrained.write(tmp_path / format, variables, weights.about, format))
    )
    assert again.about.vocabulary == ('dog', 'cat')
    np.testing.assert_array_equal(again.tensors['word_vectors'], vectors)
