"""What is drawn and where it lies; a picture depends on its class and number alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import gans
from PIL import Image

from vitlab.errors import UserError
from vitlab.predict import Options, check, gan, stablehlo


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  return gans.shared()._replace(workdir=str(tmp_path_factory.mktemp('run')))


def bits(path):
  return np.asarray(Image.open(path))


def tiles(path, rows, columns, side=8, gap=1):
  """Pictures of a grid, in their own pixels."""
  found = bits(path)
  factor = len(found) // (rows * (side + gap) - gap)
  small = found[::factor, ::factor]
  np.testing.assert_array_equal(small.repeat(factor, 0).repeat(factor, 1), found)
  at = [(y * (side + gap), x * (side + gap)) for y in range(rows) for x in range(columns)]
  return [small[y : y + side, x : x + side] for y, x in at]


def batch(*index, **label):
  columns = dict(index=index) | label
  return {name: jnp.asarray(column, jnp.int32) for name, column in columns.items()}


def test_one_number_gives_the_same_bits_in_a_grid_and_in_files(model, tmp_path, capsys):
  gan.run(model, [], Options(samples=3))
  whole = f'{model.workdir}/samples.png'
  said = capsys.readouterr().out
  assert said == (
    f"{whole}: 3 pictures of each of 4 classes, rows from the top: 'cat', 'dog', 'sea / sand', "
    "'1'; seed 0, no truncation\n"
  )
  gan.run(model, ['2', 'dog'], Options(output=str(tmp_path / 'files'), samples=2))
  names = sorted(path.name for path in (tmp_path / 'files').iterdir())
  assert names == [
    '0000_1_dog.png', '0000_2_sea-sand.png', '0001_1_dog.png', '0001_2_sea-sand.png'
  ]  # fmt: skip
  drawn = tiles(whole, 4, 3)
  for name, place in {names[0]: 3, names[1]: 6, names[2]: 4, names[3]: 7}.items():
    np.testing.assert_array_equal(bits(tmp_path / 'files' / name), drawn[place])
  different = {picture.tobytes() for picture in drawn}
  assert len(different) == 12


def test_many_are_drawn_as_few_are(model):
  sampler = gan.Sampler(model)
  index, label = np.arange(70, dtype=np.int32), np.arange(70, dtype=np.int32) % 4
  many = sampler(label, index=index)
  assert many.shape == (70, 8, 8, 3)
  np.testing.assert_array_equal(sampler(label[69:], index=index[69:])[0], many[69])


def test_pictures_are_those_of_the_task(model):
  image = jax.jit(model.task.predict['samples'])(model.variables, batch(5, 2, label=(1, 3)))
  found = gan.Sampler(model)(np.array([1, 3], np.int32), index=np.array([5, 2], np.int32))
  np.testing.assert_allclose(found / 255, image, atol=0.5 / 255 + 1e-5)


def test_names_come_before_numbers(model):
  assert [kind.label for kind in gan._asked(gan.classes(model), ['1', '0', 'cat'])] == [3, 0]


def test_of_many_classes_some_are_drawn(caplog):
  known = [gan.Kind(i, f'class {i}') for i in range(30)]
  assert gan._asked(known, []) == known[:16] and '16 of 30 classes' in caplog.text


def test_without_classes_none_can_be_named(tmp_path, capsys):
  model = gans.trained(tmp_path, num_classes=0, truncation=0.5, seed=3)
  gan.run(model, [], Options(samples=5))
  assert 'png: 5 pictures; seed 3, truncation 0.5' in capsys.readouterr().out
  assert len(tiles(tmp_path / 'samples.png', 2, 3)) == 6
  with pytest.raises(UserError, match="'cat': the model draws pictures without being told a class"):
    gan.run(model, ['cat'])
  assert len(jax.tree.leaves(gan.exported(model).example)) == 1


def test_the_program_takes_noise_and_classes(model, tmp_path):
  program = gan.exported(model)
  path = stablehlo.save(tmp_path / 'gan', program.function, program.example, program.facts)
  asked = batch(4, 1, 4, label=(2, 0, 3))
  z = jax.jit(model.task.predict['noise'])(model.variables, asked)
  image = stablehlo.load(path)(np.asarray(z), np.asarray(asked['label']))
  wanted = jax.jit(model.task.predict['samples'])(model.variables, asked)
  np.testing.assert_allclose(image, wanted, atol=1e-5)
  assert program.facts['class_names'] == gans.FACTS['class_names']


@pytest.mark.parametrize(
  ('paths', 'options', 'said'),
  [
    (['cow'], {}, "unknown class 'cow': the generator draws 'cat', 'dog', .*, or their numbers"),
    (['4'], {}, "unknown class '4'"),
    (['picture.png'], {}, "unknown class 'picture.png'"),
    ([], dict(output='x.jpg'), '--output=x.jpg: give a file x.png for a grid, or a folder'),
    (
      [],
      dict(output='/dev/null/x.png'),
      '--output=/dev/null/x.png: (File exists|Not a directory): choose',
    ),
    ([], dict(nbest=2), '--nbest=2: .* draws pictures; see --samples'),
  ],
)
def test_what_cannot_be_drawn_is_said_in_a_line(model, paths, options, said):
  with pytest.raises(UserError, match=said) as caught:
    gan.run(model, paths, Options(**options))
  assert str(caught.value).count('\n') == 0


def test_number_of_samples_is_for_what_draws():
  check('gan', Options(samples=9))
  with pytest.raises(
    UserError, match='--samples=9 is for what draws pictures: the task of this mo'
  ):
    check('classification', Options(samples=9))
