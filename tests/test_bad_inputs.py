"""What people get wrong: each is answered in at most three lines, soon, with exit code 2.

Rows of the table call the launcher in this process; a few at the end start real ones. A row says
what is given and what the answer must name.
"""

import fcntl
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from _helpers import runs
from _helpers.refusal import refused
from PIL import Image

import launch
from vitlab.cli import command_line
from vitlab.train.run import train

ROOT = pathlib.Path(__file__).parents[1]
DIGITS = '--config=configs/vit_digits.py:smoke'
CONFIG = (ROOT / 'configs' / 'vit_digits.py').read_text()

# Given -> named. {tmp} is an empty folder with the files of `world` in it.
ARGUMENTS = {
  'no config': ([], '--config'),
  'no workdir to evaluate': (['--mode=eval'], '--config'),
  'no workdir to predict': (['--mode=predict', '{tmp}/one.png'], '--workdir'),
  'empty workdir': ([DIGITS, '--workdir='], '--workdir is empty'),
  'config missing': (['--config=configs/vit_digit.py'], 'did you mean configs/vit_digits.py'),
  'config is a folder': (['--config=configs'], 'is a folder'),
  'config empty': (['--config='], '--config needs a file'),
  'syntax error': (['--config={tmp}/syntax.py'], 'line 1: SyntaxError'),
  'import error': (['--config={tmp}/imports.py'], "No module named 'nowhere'"),
  'no get_config': (['--config={tmp}/nothing.py'], 'no function get_config'),
  'get_config returns None': (['--config={tmp}/none.py'], 'returns NoneType'),
  'unknown argument': ([DIGITS + ',bogus'], "unknown config argument 'bogus'"),
  'argument of another type': ([DIGITS.replace('smoke', 'smoke=maybe')], 'expected true or false'),
  'unknown key': ([DIGITS, '--config.optim.lerning_rate=1'], 'did you mean learning_rate'),
  'wrong type': ([DIGITS, '--config.model.width=wide'], 'expected a value of type int'),
  'float for int': ([DIGITS, '--config.batch_size=1.5'], 'expected a value of type int'),
  'JSON for a group': ([DIGITS, '--config.model={"width":3}'], "'model' is a group"),
  'stray argument': ([DIGITS, 'stray'], "'stray'"),
  'change before config': (['--config.seed=1', DIGITS], 'before --config'),
  'unknown flag': ([DIGITS, '--wrkdir=x'], 'Did you mean: workdir'),
  'unknown mode': ([DIGITS, '--mode=test'], 'eval'),
  'learning rate NaN': ([DIGITS, '--config.optim.learning_rate=nan'], 'finite number'),
  'learning rate infinite': ([DIGITS, '--config.optim.learning_rate=inf'], 'finite number'),
  'learning rate negative': ([DIGITS, '--config.optim.learning_rate=-1'], 'learning_rate'),
  'learning rate NaN in the config': (['--config={tmp}/nan.py'], 'learning_rate'),
  'no steps': ([DIGITS, '--config.duration=0 epochs'], 'duration'),
  'negative duration': ([DIGITS, '--config.duration=-3 epochs'], 'duration'),
  'duration without unit': ([DIGITS, '--config.duration=30'], "'500 steps'"),
  'no batch': ([DIGITS, '--config.batch_size=0'], 'batch_size'),
  'dropout above 1': ([DIGITS, '--config.model.drop_path_rate=1.5'], 'drop_path_rate'),
  'heads do not divide': ([DIGITS, '--config.model.num_heads=5'], '5 heads'),
  'patches do not divide': ([DIGITS, '--config.model.variant=Ti/3'], 'patch'),
  'batch over devices': ([DIGITS, '--config.batch_size=100'], 'batch_size=100'),
  'batch over microbatches': ([DIGITS, '--config.microbatches=3'], 'microbatches=3'),
  'mesh too large': ([DIGITS, '--config.mesh.data=16'], '8 devices'),
  'mesh too small': ([DIGITS, '--config.mesh.data=2'], '8 devices'),
  'unknown model': ([DIGITS, '--config.model.name=vti'], 'did you mean vit'),
  'unknown variant': ([DIGITS, '--config.model.variant=XXL/2'], 'variant'),
  'unknown optimizer': ([DIGITS, '--config.optim.name=adamv'], 'did you mean adam'),
  'unknown schedule': ([DIGITS, '--config.optim.schedule=cosin'], 'did you mean cosine'),
  'unknown data set': ([DIGITS, '--config.data.name=digit'], 'did you mean digits'),
  'unknown task': ([DIGITS, '--config.task.name=clasification'], 'did you mean classification'),
  'unknown augmentation': ([DIGITS, '--config.task.augment=flop'], 'did you mean flip'),
  'unknown evaluator': ([DIGITS, '--config.evaluators.test.name=accuracy'], 'classification'),
  'unknown split': ([DIGITS, '--config.train_split=trian'], 'did you mean train'),
  'unknown metric': ([DIGITS, '--config.checkpoint.best=tset/accuracy'], 'test'),
  'set not prepared': (['--config=configs/vit_cifar10.py'], 'cifar10'),
  'unknown set': (
    ['--config=configs/vit_cifar10.py', '--config.data.dataset=cifra10'],
    'cifra10',
  ),
  'no pictures given': (['--config=configs/vit_folder.py'], ':path=FOLDER'),
  'folder missing': (['--config=configs/vit_folder.py:path={tmp}/nowhere'], 'nowhere'),
  'empty split': ([DIGITS, '--config.train_split=train[5:5]'], 'is empty'),
  'less than a batch': ([DIGITS, '--config.train_split=train[:10]'], '10 examples'),
  'label -1': (['--config={tmp}/arrays.py:{tmp}/negative.npz'], '-1'),
  'label out of range': (['--config={tmp}/arrays.py:{tmp}/large.npz'], '99'),
  'ragged arrays': (['--config={tmp}/arrays.py:{tmp}/ragged.npz'], 'ragged.npz'),
  'NaN pictures': (['--config={tmp}/arrays.py:{tmp}/floats.npz'], 'uint8'),
  'not an archive': (['--config={tmp}/arrays.py:{tmp}/broken.npz'], 'broken.npz'),
  'corrupt pictures': (['--config=configs/vit_folder.py:path={tmp}/corrupt'], 'read'),
  'zero-byte pictures': (['--config=configs/vit_folder.py:path={tmp}/empty'], 'zero bytes'),
  'text without a folder': (['--config=configs/transformer_multi30k.py'], 'multi30k.py:FOLDER'),
  'text missing': (['--config=configs/rnn_multi30k.py:{tmp}/nowhere'], 'nowhere'),
  'text of other languages': (
    ['--config=configs/rnn_multi30k.py:{tmp}/text,target=de'],
    'train.en, but no train.de beside it',
  ),
  'text that is not UTF-8': (['--config=configs/rnn_multi30k.py:{tmp}/text'], 'train.fr: line 2'),
  'lines that do not pair': (
    ['--config=configs/rnn_multi30k.py:{tmp}/short'],
    '3 lines and 2 lines',
  ),
  'too little text': (['--config=configs/rnn_multi30k.py:{tmp}/few'], 'no bpe vocabulary of 4000'),
  'n-best of training': ([DIGITS, '--nbest=3'], '--nbest goes with --mode=predict'),
  'no n-best': (['--mode=predict', '--nbest=0'], 'nbest'),
  'workdir is a file': ([DIGITS, '--workdir={tmp}/one.png'], 'is a file'),
  'workdir below a file': ([DIGITS, '--workdir={tmp}/one.png/run'], 'is a file'),
  'workdir cannot be written': ([DIGITS, '--workdir=/proc/run'], '/proc'),
  'no run to report': (['--mode=report', '{tmp}/nowhere'], 'nowhere'),
  'no run to evaluate': (['--mode=eval', '--workdir={tmp}'], 'holds no run'),
  'no run to predict': (['--mode=predict', '--workdir={tmp}', '{tmp}/one.png'], 'holds no run'),
  'unknown chip': (['--mode=inspect', DIGITS, '--topology=h10:8'], 'did you mean h100'),
  'no number of chips': (['--mode=inspect', DIGITS, '--topology=h100:many'], 'h100:<devices>'),
}


@pytest.fixture(scope='module')
def world(tmp_path_factory):
  """Files that are wrong in all the ways of the table."""
  tmp = tmp_path_factory.mktemp('world')
  texts = {
    'syntax': 'def get_config(arg=None:\n',
    'imports': 'import nowhere\n',
    'nothing': 'x = 1\n',
    'none': 'def get_config(arg=None):\n  return None\n',
    'nan': CONFIG.replace('else 2e-3', "else float('nan')"),
    'arrays': CONFIG.replace('smoke=False', "path='', smoke=False").replace(
      "name='digits'", "name='arrays', path=arg.path"
    ),
  }
  for name, text in texts.items():
    (tmp / f'{name}.py').write_text(text)
  image, label = np.zeros((200, 8, 8, 1), np.uint8), np.arange(200) % 10
  for name, changed in {
    'negative': dict(train_label=np.where(label == 3, -1, label)),
    'large': dict(test_label=np.where(label == 3, 99, label)),
    'ragged': dict(train_image=image[:150]),
    'floats': dict(train_image=np.full(image.shape, np.nan)),
  }.items():
    arrays = dict(train_image=image, train_label=label, test_image=image, test_label=label)
    np.savez(tmp / f'{name}.npz', **arrays | changed)
  (tmp / 'broken.npz').write_bytes(b'no archive')
  Image.fromarray(image[0, ..., 0]).save(tmp / 'one.png')
  for folder, content in {'corrupt': b'\xff\xd8 no picture', 'empty': b''}.items():
    for kind in 'ab':
      (tmp / folder / kind).mkdir(parents=True)
      for number in range(50):
        (tmp / folder / kind / f'{number}.jpg').write_bytes(content)
  for name, (source, target) in {
    'text': ('a\nb\nc\n', b'a\nb\xe9\nc\n'),
    'short': ('a\nb\nc\n', b'a\nb\n'),
    'few': ('a\nb\nc\n', b'a\nb\nc\n'),
  }.items():
    (tmp / name).mkdir()
    (tmp / name / 'train.en').write_text(source)
    (tmp / name / 'train.fr').write_bytes(target)
  return tmp


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
  """Leaves the devices and the compile cache of this process alone."""
  monkeypatch.setattr(command_line.machine, 'prepare', lambda **_: None)
  monkeypatch.setenv('TFDS_DATA_DIR', '/nowhere')


@pytest.mark.parametrize('arguments, named', ARGUMENTS.values(), ids=ARGUMENTS)
def test_a_wrong_command_line(arguments, named, world, tmp_path, capsys):
  workdir = tmp_path / 'run'
  arguments = [text.replace('{tmp}', str(world)) for text in arguments]
  if arguments and arguments[0].startswith('--config') and '--workdir' not in str(arguments):
    arguments.insert(1, f'--workdir={workdir}')
  refused(capsys, arguments, named, workdir)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'tiny'
  train(runs.config(), str(folder))
  return folder


def config_file_of(folder):
  """A config file that says what is stored in a workdir."""
  path = folder.parent / f'{folder.name}.py'
  path.write_text(
    'import json\n'
    'from vitlab.workdir import from_json\n'
    'def get_config(arg=None):\n'
    f"  return from_json(json.load(open('{folder}/config.json')))\n"
  )
  return f'--config={path}'


def unfinished(trained, tmp_path, name):
  """A copy of a run that lacks its result: the next command continues it."""
  copy = tmp_path / name
  shutil.copytree(trained, copy)
  (copy / 'result.json').unlink()
  return copy, [config_file_of(copy), f'--workdir={copy}']


def test_another_config_in_the_workdir(trained, capsys):
  arguments = [config_file_of(trained), '--config.seed=1', f'--workdir={trained}']
  refused(capsys, arguments, 'seed 0 -> 1')


def test_checkpoints_of_another_model(trained, tmp_path, capsys):
  copy, arguments = unfinished(trained, tmp_path, 'other')
  text = (copy / 'config.json').read_text()
  (copy / 'config.json').write_text(text.replace('"mlp_dim": 8', '"mlp_dim": 16'))
  refused(capsys, arguments, 'does not fit this config')


def test_every_checkpoint_damaged(trained, tmp_path, capsys):
  copy, arguments = unfinished(trained, tmp_path, 'damaged')
  for path in (copy / 'checkpoints').rglob('*'):
    if path.is_file():
      path.write_bytes(path.read_bytes()[:10])
  refused(capsys, arguments, 'damaged')


def test_checkpoints_without_their_config(trained, tmp_path, capsys):
  copy, arguments = unfinished(trained, tmp_path, 'lost')
  (copy / 'config.json').unlink()
  refused(capsys, [DIGITS, arguments[1]], 'no readable config.json')


def test_a_loss_that_is_not_finite(tmp_path, capsys):
  arguments = ['--config.optim.learning_rate=1e30', '--config.optim.clip_norm=0']
  assert launch.main([DIGITS, f'--workdir={tmp_path / "run"}', *arguments]) == 2
  complaint = capsys.readouterr().err
  assert 'step' in complaint and 'learning' in complaint
  assert len(complaint.splitlines()) <= 3


def test_a_full_disk(tmp_path, capsys, monkeypatch):
  usage = shutil.disk_usage(tmp_path)
  monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage._replace(free=1000))
  refused(capsys, [DIGITS, f'--workdir={tmp_path / "run"}'], 'free', tmp_path / 'run')


def test_a_workdir_in_use(trained, tmp_path, capsys):
  copy, arguments = unfinished(trained, tmp_path, 'used')
  with open(copy / '.lock', 'a+') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    refused(capsys, arguments, 'in use')


@pytest.mark.parametrize(
  'images, named',
  [(['{tmp}/nowhere.png'], 'nowhere.png'), (['{tmp}/empty/a'], 'none of 50 files'), ([], 'images')],
)
def test_pictures_that_cannot_be_labelled(images, named, trained, world, capsys):
  images = [text.replace('{tmp}', str(world)) for text in images]
  assert launch.main(['--mode=predict', f'--workdir={trained}', *images]) == 2
  assert named in capsys.readouterr().err.splitlines()[-1]


def process(*arguments, **environment):
  """A real process: (exit code, standard error, seconds)."""
  start = time.perf_counter()
  done = subprocess.run(
    [sys.executable, 'launch.py', *arguments],
    cwd=ROOT,
    env=os.environ | environment,
    capture_output=True,
    text=True,
    timeout=120,
  )
  return done.returncode, done.stderr, time.perf_counter() - start


@pytest.mark.parametrize(
  'arguments, environment, named',
  [
    (['--config=configs/vit_digit.py'], {}, 'did you mean'),
    ([DIGITS], {'JAX_PLATFORMS': 'cuda'}, 'JAX_PLATFORMS=cpu'),
    ([DIGITS], {'JAX_PLATFORMS': 'gpus'}, 'gpu'),
    ([DIGITS, '--cluster=localhost'], {}, 'host:port,processes,id'),
    ([DIGITS, '--cluster=localhost:1234,2,2'], {}, 'not below the number of processes'),
    ([DIGITS, '--cluster=localhost:{busy},2,0'], {}, 'cannot be used'),
  ],
)
def test_real_processes_answer_soon(arguments, environment, named, tmp_path):
  if environment.get('JAX_PLATFORMS') == 'cuda' and list(pathlib.Path('/dev').glob('nvidia[0-9]*')):
    environment = {'JAX_PLATFORMS': 'rocm'}
  with socket.socket(socket.AF_INET6) as busy:
    busy.bind(('', 0))
    busy.listen()
    port = str(busy.getsockname()[1])
    arguments = [text.replace('{busy}', port) for text in arguments]
    workdir = tmp_path / 'run'
    code, complaint, seconds = process(*arguments, f'--workdir={workdir}', **environment)
  assert code == 2 and named in complaint
  assert len(complaint.splitlines()) <= 3 and 'Traceback' not in complaint
  assert not workdir.exists()
  assert seconds < 10  # 5 on an idle machine: the suite keeps every core busy
