"""A manifest: valid for Kubernetes, and every index starts its trial."""

import pathlib
import subprocess

import kubernetes_validate
import pytest
import yaml
from _helpers import sweeps

from vitlab.errors import UserError
from vitlab.sweep import backends, trial

FOLDER = pathlib.Path('/sweeps/My_first sweep')


@pytest.fixture
def trials(tmp_path):
  file = sweeps.write(tmp_path, "for p in product({'optim.name': ['a b', 'c']}, seeds(2)): add(p)")
  definition = sweeps.define(file)
  return [trial.make(definition, FOLDER, n, point) for n, point in enumerate(definition.points)]


def make(options, slots=3):
  return backends.make(f'k8s,image=registry/vitlab:1,claim=disk{options}', FOLDER, slots, 2)


@pytest.mark.parametrize('options, slots', [('', 3), (',gpus=2', 0)])
def test_the_job_is_valid(options, slots, trials):
  job = yaml.safe_load(make(options, slots).text(trials))
  kubernetes_validate.validate(job, '1.33', strict=True)
  spec = job['spec']
  assert job['metadata']['name'] == 'my-first-sweep'
  assert (spec['completions'], spec['parallelism'], spec['backoffLimitPerIndex']) == (
    4, slots or 4, 2
  )  # fmt: skip
  (container,) = spec['template']['spec']['containers']
  assert container.get('resources') == ({'limits': {'nvidia.com/gpu': 2}} if options else None)
  with pytest.raises(kubernetes_validate.ValidationError):
    kubernetes_validate.validate({**job, 'spec': {**spec, 'paralelism': 1}}, '1.33', strict=True)


def test_every_index_starts_its_trial(trials, tmp_path):
  (container,) = make('').manifest(trials)['spec']['template']['spec']['containers']
  (tmp_path / 'python').write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
  (tmp_path / 'python').chmod(0o755)
  for index, one in enumerate(trials):
    done = subprocess.run(
      container['command'],
      env={'JOB_COMPLETION_INDEX': str(index), 'PATH': f'{tmp_path}:/usr/bin:/bin'},
      capture_output=True,
      text=True,
    )
    assert done.stdout.split('|')[:-1] == list(one.command)


def test_codes_of_the_launcher_mean_what_they_mean_here(trials):
  rules = make('').manifest(trials)['spec']['podFailurePolicy']['rules']
  found = {r['onExitCodes']['values'][0]: r['action'] for r in rules if 'onExitCodes' in r}
  assert found == {2: 'FailIndex', 75: 'Ignore'}


def test_nothing_is_left():
  assert make('').text([]) == ''


@pytest.mark.parametrize(
  'text, folder, says',
  [
    ('k8s', FOLDER, '--backend=k8s needs image and claim: --backend=k8s,image=...,claim=...'),
    ('k8s,image=a,claim=b', pathlib.Path('runs/x'), 'absolute --workdir'),
    ('k8s,image=a,claim=b,gpus=two', FOLDER, 'expected a number'),
  ],
)
def test_what_is_missing_is_said(text, folder, says):
  with pytest.raises(UserError, match=says):
    backends.make(text, folder, 0, 1)
