"""The files that start a run on many hosts, with stand-ins for what only a cluster has."""

import os
import pathlib
import re
import subprocess

import kubernetes_validate
import pytest
import yaml

from vitlab.cli import command_line
from vitlab.hosts import cluster

FOLDER = pathlib.Path(__file__).parents[1] / 'experiments' / 'cluster'
FLAGS = ['--config=configs/vit_digits.py', '--workdir=two words']


def stand_in(folder, name, code=0):
  """A program that writes down its arguments, a line each, and ends with a code."""
  path = folder / name
  path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/{name}.said\nexit {code}\n')
  path.chmod(0o755)


def run(folder, script, **environment):
  environ = os.environ | {'PATH': f'{folder}:{os.environ["PATH"]}'} | environment
  return subprocess.run([FOLDER / script, *FLAGS], env=environ, timeout=30).returncode


@pytest.mark.parametrize('code', [0, 2, 75, 137])
def test_slurm_requeues_what_was_preempted_and_nothing_else(tmp_path, code):
  stand_in(tmp_path, 'srun', code)
  stand_in(tmp_path, 'scontrol')
  assert run(tmp_path, 'slurm.sh', SLURM_JOB_ID='77') == code
  said = (tmp_path / 'srun.said').read_text().splitlines()
  launched = said.index('launch.py') + 1
  assert said[launched - 2] == 'python' and said[launched + 1 :] == FLAGS
  assert command_line.parse(said[launched:], ['train']).flags.restarts > 0
  requeued = tmp_path / 'scontrol.said'
  assert requeued.exists() == (code == 75)
  if code == 75:
    assert requeued.read_text().split() == ['requeue', '77']


def test_slurm_starts_one_process_a_node_and_asks_it_to_save():
  options = re.findall(r'^#SBATCH (\S+)', (FOLDER / 'slurm.sh').read_text(), re.MULTILINE)
  assert {'--ntasks-per-node=1', '--requeue', '--signal=TERM@120'} <= set(options)


def test_a_tpu_slice_gets_the_flags_whole(tmp_path):
  stand_in(tmp_path, 'gcloud')
  stand_in(tmp_path, 'python3')
  (tmp_path / 'vitlab').mkdir()
  assert run(tmp_path, 'tpu_pod.sh', NAME='pod', ZONE='here') == 0
  said = (tmp_path / 'gcloud.said').read_text().splitlines()
  assert 'pod' in said and {'--zone=here', '--worker=all'} <= set(said)
  remote = said[-1].removeprefix('--command=')
  environ = os.environ | {'PATH': f'{tmp_path}:{os.environ["PATH"]}'}
  subprocess.run(['sh', '-c', remote], env=environ, cwd=tmp_path, check=True)
  assert (tmp_path / 'python3.said').read_text().splitlines()[2:] == FLAGS


def test_kubernetes_takes_the_files():
  service, job = yaml.safe_load_all((FOLDER / 'kubernetes.yaml').read_text())
  for resource in (service, job):
    kubernetes_validate.validate(resource, '1.31', strict=True)
  pod = job['spec']['template']['spec']
  (container,) = pod['containers']
  # As the name service knows the first pod, and as the controller fills in the last.
  assert (
    service['spec']['selector'].items() <= job['spec']['template']['metadata']['labels'].items()
  )
  first = f'{job["metadata"]["name"]}-0.{service["metadata"]["name"]}'
  assert pod['subdomain'] == service['metadata']['name']
  count = job['spec']['completions']
  assert count == job['spec']['parallelism'] and job['spec']['completionMode'] == 'Indexed'
  arguments = [a.replace('$(JOB_COMPLETION_INDEX)', '3') for a in container['command'][2:]]
  flags = command_line.parse(arguments, ['train']).flags
  assert cluster.parse(flags.cluster) == cluster.Cluster(f'{first}:9811', count, 3)
  assert flags.restarts and (FOLDER.parents[1] / flags.config).exists()
  assert {v['name'] for v in container['volumeMounts']} == {v['name'] for v in pod['volumes']}
