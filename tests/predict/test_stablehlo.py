"""What is exported gives the same numbers in a process that has none of our model code."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vitlab.errors import UserError
from vitlab.predict import stablehlo

EXAMPLE = jax.ShapeDtypeStruct((1, 4, 4, 1), jnp.uint8)
FACTS = {'class_names': ['a', 'b', 'c']}


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  model = nn.Sequential([lambda x: x.reshape(x.shape[0], -1) / 255.0, nn.Dense(3), nn.softmax])
  variables = model.init(jax.random.key(0), jnp.zeros((1, 4, 4, 1)))

  def function(image):
    return model.apply(variables, image.astype(jnp.float32))

  path = tmp_path_factory.mktemp('export') / 'deep' / 'model.stablehlo'
  return stablehlo.save(path, function, EXAMPLE, FACTS), function


@pytest.mark.parametrize('batch_size', [1, 5])
def test_a_loaded_function_equals_the_saved_one(saved, batch_size):
  path, function = saved
  image = np.random.default_rng(0).integers(0, 256, (batch_size, 4, 4, 1), dtype=np.uint8)
  loaded = stablehlo.load(path)
  np.testing.assert_allclose(loaded(image), function(jnp.asarray(image)), rtol=1e-6)
  assert loaded.facts['class_names'] == ['a', 'b', 'c']
  assert loaded.facts['input'] == {'shape': ['b', 4, 4, 1], 'dtype': 'uint8'}
  assert loaded.facts['output'] == {'shape': ['b', 3], 'dtype': 'float32'}


def test_several_inputs_and_outputs_by_name(tmp_path):
  examples = EXAMPLE, jax.ShapeDtypeStruct((1, 2), jnp.int32)
  sums = lambda image, size: dict(sum=image.sum((1, 2, 3)), area=size[:, 0] * size[:, 1])  # noqa: E731
  loaded = stablehlo.load(stablehlo.save(tmp_path / 'two', sums, examples, {}))
  image, size = np.ones((3, 4, 4, 1), np.uint8), np.full((3, 2), 5, np.int32)
  found = loaded(image, size)
  assert found['sum'].tolist() == [16] * 3 and found['area'].tolist() == [25] * 3
  assert loaded.facts['input'][1] == {'shape': ['b', 2], 'dtype': 'int32'}
  assert loaded.facts['output']['area'] == {'shape': ['b'], 'dtype': 'int32'}
  for given in ((image,), (size, image), (image, size.astype(np.int64)), (image, size[:, :1])):
    with pytest.raises(UserError, match=r'takes uint8\[b, 4, 4, 1\] and int32\[b, 2\]'):
      loaded(*given)


def test_loading_imports_no_model_code(saved):
  program = (
    'import sys, numpy as np\n'
    'from vitlab.predict import stablehlo\n'
    f'print(stablehlo.load({str(saved[0])!r})(np.zeros((2, 4, 4, 1), np.uint8)).shape)\n'
    'print([name for name in sys.modules if name == "flax" or name.startswith("vitlab.models")])\n'
  )
  done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
  assert done.stdout.split('\n')[:2] == ['(2, 3)', '[]']


@pytest.mark.parametrize(
  'image', [np.zeros((2, 4, 5, 1), np.uint8), np.zeros((2, 4, 4, 1), np.float32)]
)
def test_a_wrong_input_says_what_is_expected(saved, image):
  with pytest.raises(UserError, match=r'takes uint8\[b, 4, 4, 1\]'):
    stablehlo.load(saved[0])(image)


def test_no_rows_are_refused(saved):
  with pytest.raises(UserError, match='given 0 rows'):
    stablehlo.load(saved[0])(np.zeros((0, 4, 4, 1), np.uint8))


def with_facts(saved, folder, program=None, **words):
  """A copy of the exported model that says other things of itself."""
  facts = json.loads(stablehlo.sidecar(saved[0]).read_text()) | words
  path = folder / 'model.stablehlo'
  stablehlo.sidecar(path).write_text(json.dumps(facts))
  path.write_bytes(saved[0].read_bytes() if program is None else program)
  return path


@pytest.mark.parametrize('damage', ['program', 'envelope'])
def test_what_only_a_newer_jax_reads_is_refused_at_loading(damage, saved, tmp_path):
  whole = saved[0].read_bytes()
  assert b'exponential_v' in whole  # an operation: one that JAX does not know fails at the call
  unknown = whole.replace(b'exponential_v', b'exponentially')
  newer = dict(program=unknown, envelope=whole[:100])
  path = with_facts(saved, tmp_path, newer[damage], jax='99.0.1')
  with pytest.raises(UserError, match=r'exported by jax 99\.0\.1: .*\ninstall jax>=99\.0\.1'):
    stablehlo.load(path)


@pytest.mark.parametrize('version', ['99.0.0', '0.1', 'unknown', None])
def test_a_program_that_can_be_read_is_whoever_wrote_it(version, saved, tmp_path):
  image = np.ones((2, 4, 4, 1), np.uint8)
  loaded = stablehlo.load(with_facts(saved, tmp_path, jax=version))
  np.testing.assert_array_equal(loaded(image), stablehlo.load(saved[0])(image))


def test_missing_and_damaged_files_are_refused(saved, tmp_path):
  with pytest.raises(UserError, match='no exported model'):
    stablehlo.load(tmp_path / 'none')
  path = tmp_path / 'model.stablehlo'
  stablehlo.sidecar(path).write_text('{}')
  path.write_bytes(saved[0].read_bytes()[:100])
  with pytest.raises(UserError, match='damaged'):
    stablehlo.load(path)
  path.write_bytes(saved[0].read_bytes())
  for facts in ('{}', '[]', '{"input": 3}'):
    stablehlo.sidecar(path).write_text(facts)
    with pytest.raises(UserError, match='damaged'):
      stablehlo.load(path)
