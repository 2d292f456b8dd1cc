"""Flags become a command; what does not fit is named."""

import pytest

from vitlab.cli import command_line
from vitlab.errors import UserError

MODES = ['train', 'eval', 'predict', 'export', 'report', 'sweep']
DIGITS = '--config=configs/vit_digits.py'


def parse(*arguments):
  return command_line.parse(arguments, MODES)


def test_flags_changes_and_paths_are_told_apart():
  command = parse('--mode=predict', '--config.seed=3', '--workdir=runs/a', 'one.png', 'two')
  assert command.flags.mode == 'predict'
  assert command.workdir() == 'runs/a'
  assert command.paths == ['one.png', 'two']
  assert command.overrides == ['--config.seed=3']
  assert parse('--mode=eval', DIGITS, '--config.seed=3', '--workdir=runs/a').config().seed == 3


def test_a_workdir_is_named_after_its_config():
  assert parse(DIGITS).workdir() == 'runs/vit_digits'
  assert parse(DIGITS + ':smoke').workdir() == 'runs/vit_digits-smoke'
  assert parse('--mode=sweep', DIGITS).workdir() == 'runs/vit_digits-sweep'
  assert parse('--mode=sweep', DIGITS, '--sweep=a/rates.py').workdir() == 'runs/vit_digits-rates'


def test_command_lines_do_not_remember_each_other():
  assert parse(DIGITS, '--workdir=a', '--debug').flags.debug
  assert parse(DIGITS).workdir() == 'runs/vit_digits'
  assert not parse(DIGITS).flags.debug


@pytest.mark.parametrize(
  'arguments, says',
  [
    (['--confg=a.py'], 'Did you mean: config'),
    (['--mode=trian'], 'train|eval|predict|export|report'),
    (['stray'], "unexpected argument 'stray'"),
    (['--mode=eval', '--', 'stray'], "unexpected argument 'stray'"),
    (['--debug=maybe'], 'debug'),
    (['--config'], 'Missing value for flag --config'),
    (['--mode=report', '--attention'], '--attention goes with --mode=predict'),
    (['--mode=predict', '--format=timm'], '--format goes with --mode=export'),
    (['--retries=3'], '--retries goes with --mode=sweep, not --mode=train'),
    (['--mode=sweep', '--slots=-1'], 'slots'),
    (['--mode=export', '--format=onnx'], 'timm|huggingface'),
    (['--mode=eval', '--restarts=3'], '--restarts goes with --mode=train'),
    (['--restarts=-1'], 'restarts=-1'),
    (['--heartbeat=1'], '[2, 3600]'),
    (['--heartbeat=1000000'], '[2, 3600]'),
  ],
)
def test_a_wrong_flag_says_what_is_possible(arguments, says):
  with pytest.raises(UserError) as caught:
    parse(*arguments)
  assert says in str(caught.value)


def test_the_stored_config_is_used_where_none_is_given(tmp_path):
  (tmp_path / 'config.json').write_text('{"seed": 1, "optim": {"name": "adamw"}}')
  command = parse('--mode=eval', f'--workdir={tmp_path}', '--config.optim.name=lion')
  config = command.config()
  assert (config.seed, config.optim.to_dict()) == (1, {'name': 'lion'})


@pytest.mark.parametrize('mode', MODES)
def test_without_config_and_workdir_there_is_nothing_to_do(mode):
  with pytest.raises(UserError, match='needs --config='):
    parse(f'--mode={mode}').config()
  with pytest.raises(UserError, match='needs --workdir='):
    parse(f'--mode={mode}').workdir()


def test_help_shows_every_flag_and_config():
  text = command_line.usage('python launch.py ...', dict.fromkeys(MODES, 'does it'))
  assert all(f'--{name}' in text for name in command_line.define_flags(MODES) if name != 'mode')
  assert 'configs/vit_digits.py' in text
  assert max(map(len, text.splitlines())) <= 100
  assert len(text.split('Configs:')[0].splitlines()) <= 40
