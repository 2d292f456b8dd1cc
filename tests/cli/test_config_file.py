"""Configs load, overrides keep types, and every mistake is one line."""

import pytest

from vitlab import workdir
from vitlab.cli import config_file
from vitlab.errors import UserError

CONFIG = '''"""First line.

More."""

from vitlab.config import base, parse_arg


def get_config(arg=None):
  arg = parse_arg(arg, width=8, smoke=False)
  config = base()
  config.model = dict(name='vit', width=arg.width, num_classes=None, qk_norm=False)
  config.optim = dict(name='adamw', learning_rate=1e-3, lr_multipliers=())
  return config
'''


@pytest.fixture
def path(tmp_path):
  file = tmp_path / 'some.py'
  file.write_text(CONFIG)
  return str(file)


@pytest.mark.parametrize(
  'override, key, expected',
  [
    ('--config.model.width=16', 'width', 16),
    ('--config.model.num_classes=10', 'num_classes', 10),
    ('--config.model.num_classes=ten', 'num_classes', 'ten'),
    ('--config.model.name=None', 'name', 'None'),
    ('--config.model.qk_norm', 'qk_norm', True),
    ('--config.model.qk_norm=true', 'qk_norm', True),
    ('--noconfig.model.qk_norm', 'qk_norm', False),
  ],
)
def test_override_takes_the_type_of_what_it_replaces(path, override, key, expected):
  assert config_file.load(path, [override]).model[key] == expected


@pytest.mark.parametrize(
  'override, expected',
  [
    ('--config.model.depth=3', dict(depth=3)),
    ('--config.model.drop_path_rate=1', dict(drop_path_rate=1.0)),
    ('--config.model.pool=gap', dict(pool='gap')),
    ('--config.model.scan', dict(scan=True)),
  ],
)
def test_a_keyword_that_a_component_has_need_not_stand_in_the_config(path, override, expected):
  model = config_file.load(path, [override]).model
  assert expected.items() <= dict(model).items()
  assert [type(model[key]) for key in expected] == [type(x) for x in expected.values()]


def test_argument_and_overrides_meet(path):
  config = config_file.load(
    f'{path}:width=12',
    [
      '--config.optim.learning_rate=3',
      '--config.optim.lr_multipliers=("head", 0.1), ("norm", 2.0)',
      '--config.sharding_rules="x"',
    ],
  )
  assert config.model.width == 12
  assert isinstance(config.optim.learning_rate, float)
  assert config.optim.lr_multipliers == (('head', 0.1), ('norm', 2.0))
  assert config.sharding_rules == ('x',)


def test_a_loaded_config_takes_no_new_key(path):
  config = config_file.load(path)
  with pytest.raises(AttributeError):
    config.bogus = 1


@pytest.mark.parametrize(
  'override, says',
  [
    ('--config.optim.lerning_rate=3', 'did you mean learning_rate?'),
    ('--config.learning_rate=3', 'did you mean optim.learning_rate?'),
    ('--config.optim=3', "'optim' is a group"),
    ('--config.model={"width":3}', "'model' is a group"),
    ('--config.model.width=abc', 'expected a value of type int'),
    ('--config.model.width=1.5', 'expected a value of type int'),
    ('--config.model.width=True', 'expected a value of type int'),
    ('--config.model.qk_norm=maybe', 'expected a value of type bool'),
    ('--config.optim.learning_rate=nan', 'expected a finite number'),
    ('--config.optim.learning_rate=fast', 'expected a value of type float'),
    ('--config.model.width.x=3', 'config.model.width is one value, not a group'),
    ('--config.model.width', 'needs a value'),
    ('--config.model.dept=3', "unknown key of config.model 'dept': did you mean depth?"),
    ('--config.model.drop_path_rate=much', 'expected a value of type float'),
    ('--config.nowhere.at.all=3', "unknown key of config 'nowhere'"),
  ],
)
def test_a_wrong_override_says_what_is_possible(path, override, says):
  with pytest.raises(UserError) as caught:
    config_file.load(path, [override])
  assert says in str(caught.value)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  'text, says',
  [
    ('def get_config(arg=None:\n', 'line 1: SyntaxError'),
    ('\nimport no_such_module\n', "line 2: ModuleNotFoundError: No module named 'no_such_module'"),
    ('x = 1\n', 'has no function get_config'),
    ('def get_config(arg=None):\n  pass\n', 'returns NoneType, not a ConfigDict'),
    ('def get_config(arg=None):\n  return 1 / 0\n', 'line 2: ZeroDivisionError'),
    (CONFIG.replace('base()\n', 'base()\n  config.lr = 1\n'), 'unknown key in config'),
    (
      'from ml_collections import ConfigDict\ndef get_config(arg=None):\n  return ConfigDict()\n',
      'start from vitlab.config.base()',
    ),
  ],
)
def test_a_broken_config_names_the_line(tmp_path, text, says):
  path = tmp_path / 'broken.py'
  path.write_text(text)
  with pytest.raises(UserError) as caught:
    config_file.load(str(path))
  assert says in str(caught.value)
  assert '\n' not in str(caught.value)


def test_arguments_are_split_from_overrides():
  arguments = [
    '--config',
    'a.py',
    '--config.x.y=1',
    '--mode=eval',
    '--config.z',
    '2',
    '--noconfig.b',
  ]
  assert config_file.split_arguments(arguments) == (
    ['--config', 'a.py', '--mode=eval'],
    ['--config.x.y=1', '--config.z=2', '--noconfig.b'],
  )


def test_an_override_before_its_config_is_refused():
  with pytest.raises(UserError, match='stands before --config'):
    config_file.split_arguments(['--config.x=1', '--config=a.py'])


def test_configs_are_described_without_running_them(tmp_path):
  (tmp_path / 'one.py').write_text('"""The one.\n\nMore."""\nraise SystemExit\n')
  assert config_file.describe_all(str(tmp_path)) == {str(tmp_path / 'one.py'): 'The one.'}


def test_run_names_are_safe_folder_names():
  assert config_file.run_name('configs/vit.py') == 'vit'
  assert config_file.run_name('configs/vit.py:variant=S/16,res=128') == 'vit-variant=S_16,res=128'
  assert config_file.run_name('configs/vit_folder.py:../my photos') == 'vit_folder-my_photos'


def test_a_config_survives_its_workdir(path):
  config = config_file.load(path, ['--config.optim.lr_multipliers=("head", 0.1), ("norm", 2.0)'])
  assert workdir.from_json(workdir.to_json(config)).to_dict() == config.to_dict()


@pytest.mark.parametrize(
  'line, keys',
  [
    ('del config.seed', 'seed'),
    ('del config.init_from', 'init_from'),
    ('config.batch_size = config.duration = None', 'batch_size, duration'),
    (
      'config.checkpoint.keep = None; del config.checkpoint.best',
      'checkpoint.best, checkpoint.keep',
    ),
    ('config.data = None', 'data'),
    ('config.mesh = None', 'mesh'),
    ('config.mesh = dict(fsdp=None)', 'mesh.fsdp'),
  ],
)
def test_a_key_without_a_value_is_named_before_it_is_met(path, line, keys):
  with open(path) as file:
    text = file.read()
  with open(path, 'w') as file:
    file.write(text.replace('  return config', f'  {line}\n  return config'))
  with pytest.raises(UserError, match=f'lacks the keys {keys}.*, or has None: start from'):
    config_file.load(path)
