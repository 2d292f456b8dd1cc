"""The training loop: the same for every task, resumable at every step.

A run is a function of its config. A session continues it after its newest checkpoint, and what it
does from there on is, bit for bit, what an undisturbed run does: the parameters, the rows of
metrics.jsonl (all but `time/...`), the result.

Order within a step: update; train metrics and evaluators that are due, together one row of
metrics.jsonl; checkpoint. A checkpoint remembers the metrics since the last row and which row that
is, so that no row is missing or doubled wherever a session ends.
"""

import collections
import contextlib
import logging
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax

from vitlab import tasks, workdir
from vitlab.data import batches, pipeline
from vitlab.errors import UserError, unknown
from vitlab.hosts.preemption import Preempted, StopSignal
from vitlab.train.clock import Clock
from vitlab.train.evaluate import Interrupted, Unmeasured, evaluate, predictions
from vitlab.train.feed import AHEAD, Feed
from vitlab.train.memory import Watch
from vitlab.train.meter import Meter, check_parameters
from vitlab.train.progress import Progress
from vitlab.train.setup import Experiment
from vitlab.train.step import metric_name
from vitlab.workdir import provenance
from vitlab.workdir.checkpoint import CheckpointError, Checkpoints
from vitlab.workdir.events import Events
from vitlab.workdir.writers import Writers

_log = logging.getLogger(__name__)


class Past(NamedTuple):
  """The history of a run at a step, as a checkpoint keeps it for the next session.

  Attributes:
    logged: Step of the newest row of metrics.jsonl.
    row: The newest row, without its step.
    best: See `Session`.
    window: name -> [sum, count] of the training metrics since that row; see `Meter`.
    clock: Totals of the clock; see `Clock`.
  """

  logged: int = 0
  row: Mapping[str, Any] = {}
  best: Mapping[str, Any] | None = None
  window: Mapping[str, Any] | None = None
  clock: Mapping[str, float] | None = None


class Session:
  """One session of a run: a context manager that restores on entry and writes to the workdir.

  Args:
    experiment: Everything that the config of the run becomes.
    path: The workdir, claimed by this process or by process 0.
    stop: Tells whether to stop early.
    started: `time.perf_counter()` when the session began.

  Attributes:
    state: The training state after `step` steps.
    row: The newest row of metrics.jsonl, without its step.
    best: dict(metric, value, step) of the metric `checkpoint.best`, the latest of equal values;
      None if that is off or no value was finite.
    clock: The clock of the run, over all its sessions.
    seconds_to_first_step: Seconds until the first step of this session was done; None if it made
      no step.
  """

  def __init__(self, experiment: Experiment, path: pathlib.Path, stop: StopSignal, started: float):
    config, writes = experiment.config, jax.process_index() == 0
    self.experiment = experiment
    self._path, self._stop, self._writes = path, stop, writes
    self._eval_every = {n: experiment.steps(spec.every) for n, spec in config.evaluators.items()}
    self._log_every = experiment.steps(config.log_every)
    options = dict(config.checkpoint)
    self._save_every = experiment.steps(options.pop('every'))
    options['keep_every'] = experiment.steps(options['keep_every'])
    self._watch = Watch(experiment)
    self._running = collections.deque()  # metrics of steps that the devices may have in hand
    self.seconds_to_first_step: float | None = None
    self._stack = contextlib.ExitStack()
    with self._stack:
      self._checkpoints = Checkpoints(path / workdir.CHECKPOINTS, **options)
      self._stack.callback(self._checkpoints.close)
      restored = self._checkpoints.restore(experiment.abstract_state)
      self.state = restored.state if restored else experiment.init()
      self.step = restored.step if restored else 0
      past = Past(**restored.meta['session']) if restored else Past()
      self.row, self.best, self._logged = past.row, past.best, past.logged
      self._meter = Meter(past.window)
      self._events = Events(path if writes else None)
      self.clock = Clock(past.clock, started, self._events)
      lost = max(self._events.reached - self.step, 0)
      self._events.add('start', self.step, seconds=self.clock.session(), lost=lost)
      self._progress = self._stack.enter_context(self._display())
      self._writers = self._stack.enter_context(Writers(path, past.logged)) if writes else None
      self._stack = self._stack.pop_all()

  def __enter__(self) -> 'Session':
    return self

  def __exit__(self, *_: object) -> None:
    self._stack.close()

  def run(self) -> None:
    """Steps until the run is complete and its last checkpoint is on the disk.

    Raises:
      Preempted, Unmeasured, Diverged, CheckpointError: see `vitlab.train.run`.
    """
    try:
      self._log_if_due()  # a session that was stopped while it evaluated owes a row
      if self.step < self.experiment.total_steps:
        self._train()
    except Interrupted:
      self._preempt()
    except Unmeasured:
      self._save(needed=True)  # without the last row, which the next session owes
      raise
    self._save(needed=True)
    self.clock.end(self.step)

  def _train(self) -> None:
    config = self.experiment.config
    ahead = pipeline.train_batches(
      self.experiment.train_source,
      batch_size=config.batch_size,
      seed=config.seed,
      start=self.step,
      workers=config.num_workers,
      max_corrupt=config.max_corrupt,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    )
    with Feed(ahead, self.experiment.put) as feed:
      while self.step < self.experiment.total_steps:
        if self._stop.at_step(self.step):
          self._preempt()
        if self.clock.running:
          self._take_step(feed)
        else:
          self._take_first_step(feed)
        is_best = self._log_if_due()
        if is_best or self._is_due(self._save_every):
          self._save()

  def _take_step(self, feed: Feed) -> None:
    batch = feed.next(busy=list(self._running))
    self._watch.look(self.state, batch)
    self.state, metrics = self.experiment.train_step(self.state, batch)
    self.step += 1
    self._meter.add(self.step, metrics)
    if self.clock.running:
      self.clock.count(self.experiment.config.batch_size, feed.waited)
    feed.waited = 0.0
    self._progress.advance(self.step)
    self._running.append(metrics)
    if len(self._running) > AHEAD:
      jax.block_until_ready(self._running.popleft())

  def _take_first_step(self, feed: Feed) -> None:
    with self.clock.spending('compile', self.step + 1), self._progress.doing('compiling'):
      if batches.alike(self.experiment.train_source):  # while the first batch is loaded
        self._watch.look(self.state, self.experiment.abstract_batch)
      self._take_step(feed)
      jax.block_until_ready(self.state.step)
    self.seconds_to_first_step = self.clock.session()
    self.clock.begin()

  def _is_due(self, every: int) -> bool:
    last = self.step == self.experiment.total_steps
    return self.step > 0 and (last or (every > 0 and self.step % every == 0))

  def _log_if_due(self) -> bool:
    """Writes the row of this step if there is to be one; returns whether it is the best so far."""
    due = [name for name, every in self._eval_every.items() if self._is_due(every)]
    if self._logged >= self.step or not (due or self._is_due(self._log_every)):
      return False
    row = {f'train/{name}': x for name, x in self._meter.means().items()}
    for player, schedule in self.experiment.schedules.items():
      name = metric_name('learning_rate', player, self.experiment.schedules)
      row[f'train/{name}'] = float(schedule(self.step - 1))
    speed = self.clock.window(self.step)
    self._progress.trained(self.step, row, speed)
    row |= self._evaluate(due)
    row |= {f'time/{name}': x for name, x in speed.items()}
    row['time/seconds'] = self.clock.totals()['seconds']
    if self._writers:
      self._writers.write(self.step, row)
    self._meter.reset()
    self.row, self._logged = row, self.step
    return self._note_best()

  def _evaluate(self, due: Sequence[str]) -> dict[str, float]:
    metrics, failed = {}, {}
    variables = self.state.averaged()
    source = predictions(self.experiment, variables, self._stop.asked)
    for name in due:
      try:
        with (
          self.clock.spending('evaluate', self.step),
          self._progress.doing(f'evaluating {name}'),
        ):
          found, details = evaluate(self.experiment, variables, [name], source=source)
          self._write_details(name, details[name])
          for signature in details[name].get('signatures', ()):
            self._progress.note(str(signature))
        best = self.experiment.config.checkpoint.best
        if best.partition('/')[0] == name and best not in found:
          raise unknown('checkpoint.best', best, found)
        metrics |= found
        self._progress.evaluated(self.step, name, found)
      except (UserError, Interrupted):
        raise
      except Exception as error:  # of an evaluator: no reason to lose the run
        _log.warning('evaluator %s failed at step %d', name, self.step, exc_info=True)
        failed[name] = error
    if failed and self.step == self.experiment.total_steps:
      raise Unmeasured(failed)
    return metrics

  def _write_details(self, name: str, details: Mapping[str, Any]) -> None:
    try:
      if self._writes:
        workdir.write_details(self._path, name, details)
    except OSError as error:
      _log.warning('details of %s at step %d are not written: %s', name, self.step, error)

  def _note_best(self) -> bool:
    options = self.experiment.config.checkpoint
    value = self.row.get(options.best, math.nan)
    if not math.isfinite(value):
      return False
    sign = 1 if options.best_mode == 'max' else -1
    # Of equals the later: on a small split many steps are equally good, and the first by chance.
    if self.best is not None and sign * value < sign * self.best['value']:
      return False
    self.best = dict(metric=options.best, value=value, step=self.step)
    return True

  def _save(self, needed: bool = False) -> None:
    """Starts to write a checkpoint.

    Args:
      needed: Whether to wait for the checkpoint, and fail if it cannot be written. If not, that is
        a warning: older checkpoints are intact, and the next may find the disk in a better state.
    """
    window = dict(self._meter.totals())
    jax.block_until_ready(self.state.step)  # until then it is training, not saving
    with self.clock.spending('save', self.step), self._progress.doing('saving'):
      check_parameters(self.step, self.state.variables)
      past = Past(self._logged, self.row, self.best, window, self.clock.totals())
      meta = dict(
        session=past._asdict(),
        config=workdir.to_json(self.experiment.config),
        versions=provenance.versions(),
        facts=self.experiment.dataset.facts,
      )
      metrics = self.row if self._logged == self.step else {}
      try:
        self._checkpoints.save(self.step, self.state, meta, metrics)
        if needed:
          self._checkpoints.wait()
      except CheckpointError as error:
        if needed or jax.process_count() > 1:
          raise
        _log.warning('%s', error)

  def _preempt(self) -> None:
    self._events.add('preempted', self.step)
    message = 'stopped before the first step: the same command starts again'
    if self.step:
      self._save(needed=True)
      message = f'stopped after step {self.step:,}, saved: the same command continues'
    self._progress.note(message)
    raise Preempted(message)

  def _display(self) -> Progress:
    config, experiment = self.experiment.config, self.experiment
    count = sum(experiment.num_parameters.values())
    mesh = ' '.join(f'{axis}={size}' for axis, size in experiment.mesh.shape.items())
    where = f'{self._path}, continuing after step {self.step:,}' if self.step else str(self._path)
    header = (
      ('model', f'{config.model.get("name", "?")}, {count:,} parameters'),
      ('data', f'{config.data.name}, {len(experiment.train_source):,} examples to train on'),
      ('devices', f'{provenance.device(list(experiment.mesh.devices.flat))} ({mesh})'),
      ('workdir', where),
    )
    options = dict(header=header, unit=tasks.unit(config.task), quiet=not self._writes)
    return Progress(self._path.name, experiment.total_steps, step=self.step, **options)
