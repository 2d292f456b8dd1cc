"""Training to the end of a run, from wherever its workdir says it is."""

import contextlib
import logging
import math
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from vitlab import registry, workdir
from vitlab.data import identity
from vitlab.evaluators import split_of
from vitlab.hosts import agreement, preemption
from vitlab.train import clock, init_from, progress, setup
from vitlab.train.loop import Session
from vitlab.train.setup import Experiment
from vitlab.workdir import fingerprint, provenance

_log = logging.getLogger(__name__)


@agreement.sharing()
def train(
  config: ConfigDict,
  folder: str,
  *,
  devices: Sequence[jax.Device] | None = None,
  report: Callable[[pathlib.Path], object] | None = None,
) -> dict[str, Any]:
  """Trains to the end of `config.duration`; a run that is finished says so.

  Args:
    config: With the keys of `vitlab.config.base()`.
    folder: The workdir, made if it does not exist; see `vitlab.workdir`.
    devices: For the mesh; default all.
    report: Called with the finished workdir; its failure is a warning.

  Returns:
    What stands in result.json: metrics (the last of every name), best (of `checkpoint.best`, with
    its step), steps, seconds (of all sessions), fingerprint (of the final parameters), device,
    versions, commit, parameters (how many), examples_per_second and data_wait (of all sessions,
    compilation left out), seconds_to_first_step (of the last session), goodput (see `clock`),
    baselines (what guesses that take no training reach, see `vitlab.baselines`).

  Raises:
    UserError: the config or the workdir cannot be used, or the run was started on other data; of
      it, `meter.Diverged`: a metric is not finite, `evaluate.Unmeasured`: an evaluator failed after
      the last step, `checkpoint.CheckpointError`: the last checkpoint could not be written,
      `agreement.Disagreement`: the processes are not one run, or another of them raises a UserError
      before the first step.
    preemption.Preempted: SIGTERM or Ctrl-C; the state is saved. A SystemExit with code 75.
  """
  started = time.perf_counter()
  config, sources = init_from.resolve(config, folder)
  agreement.compare_start(config, folder, sources)
  result = workdir.check(folder, config)
  agreement.meet({'run in the workdir': 'finished' if result else 'not finished'})
  if result is not None:
    progress.closing(result, folder, before=True)
    return result
  with preemption.StopSignal() as stop:
    result = _run(config, folder, sources, devices, stop, started)
  if jax.process_index() == 0:
    _report(report, pathlib.Path(folder))
    progress.closing(result, folder)
  return result


def _run(
  config: ConfigDict,
  folder: str,
  sources: init_from.Sources,
  devices: Sequence[jax.Device] | None,
  stop: preemption.StopSignal,
  started: float,
) -> dict[str, Any]:
  """Builds the run, claims its folder and trains to the end; returns the result."""
  path, first = pathlib.Path(folder), jax.process_index() == 0  # the process that writes
  built = setup.build(config, devices, sources=sources)
  facts = identity.check(workdir.read_json(path / workdir.FACTS), built.dataset, folder)
  built.init.prepare()
  workdir.require_space(folder, (config.checkpoint.keep + 1) * _bytes(built.abstract_state))
  agreement.compare_data(facts)
  with workdir.claim(folder, config) if first else contextlib.nullcontext():
    if first:
      workdir.write_json(path / workdir.FACTS, facts)
      init_from.write_record(path, config, sources)
    agreement.meet()  # nobody reads the folder before it is claimed
    with Session(built, path, stop, started) as session:
      if isinstance(sources, dict):
        sources.clear()  # they are in the state: the run holds them no second time
      agreement.meet({'step of the checkpoint': session.step})
      session.run()
      result = _result(session)
    result['baselines'] = _baselines(built)
    if first:
      workdir.write_json(path / workdir.RESULT, result)
  return result


def _report(report: Callable[[pathlib.Path], object] | None, path: pathlib.Path) -> None:
  """A page that cannot be drawn is a warning: the run is finished all the same."""
  try:
    if report is not None:
      report(path)
  except Exception:
    _log.warning('no report for %s', path, exc_info=True)


def _result(session: Session) -> dict[str, Any]:
  totals = session.clock.totals()
  params = {player: c['params'] for player, c in session.state.variables.items()}
  return dict(
    metrics={name: x for name, x in session.row.items() if not name.startswith('time/')},
    best=session.best,
    steps=session.step,
    seconds=totals['seconds'],
    fingerprint=fingerprint.fingerprint(params),
    device=provenance.device(list(session.experiment.mesh.devices.flat)),
    versions=provenance.versions(),
    commit=provenance.commit(),
    parameters=sum(session.experiment.num_parameters.values()),
    seconds_to_first_step=session.seconds_to_first_step,
    goodput=session.clock.goodput,
    **clock.speed(totals['training'], totals['waited'], totals['examples']),
  )


def _baselines(experiment: Experiment) -> dict[str, dict[str, float]]:
  """Of the first evaluator that has some, on the splits of the run; none where that fails."""
  try:
    for name, spec in experiment.config.evaluators.to_dict().items():
      module = registry.module('evaluators', spec['name'])
      split = split_of(spec)
      if hasattr(module, 'baselines') and split != experiment.config.train_split:
        found = module.baselines(experiment.train_source, experiment.split(split))
        return {f'{name}/{module.LEADS}': dict(found)} if found else {}
  except Exception:  # the run is finished all the same
    _log.warning('no baselines', exc_info=True)
  return {}


def _bytes(tree: Any) -> int:
  return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))
