"""vitlab's own step on its own shardings, in the hands of a loop that times it."""

from collections.abc import Mapping
from typing import Any


def prepare(args) -> int:
  """What must be settled before JAX starts; how many devices there are then."""
  from vitlab.hosts import machine

  machine.tune_allocator()
  import jax

  if args.platform == 'cpu':
    jax.config.update('jax_num_cpu_devices', 2 if '2 host devices' in args.subject else 1)
  return jax.device_count()


class Stepper:
  """A task's state and what moves and asks it; every method waits for its result.

  Args:
    task: As the registry makes it.
    devices: How many the batch is split over.
    batch: Any that it will see: of shapes alone.
  """

  def __init__(self, task: Any, devices: int, batch: Mapping[str, Any]):
    import jax
    import optax

    from vitlab.train import sharding
    from vitlab.train.step import init_state, make_train_step

    optimizers = {'model': optax.adamw(1e-6, weight_decay=0.05)}
    self.mesh = sharding.make_mesh({'data': devices, 'fsdp': 1, 'model': 1})
    first = {key: value[:1] for key, value in batch.items()}

    def init(key):
      return init_state(task, optimizers, key, first)

    shapes = jax.eval_shape(init, jax.random.key(0))
    shardings = sharding.state_shardings(shapes, self.mesh)
    with jax.set_mesh(self.mesh):
      self.state = jax.jit(init, out_shardings=shardings)(jax.random.key(0))
      self._step = jax.jit(make_train_step(task, optimizers, seed=0), donate_argnums=0)
      self._predict = {name: jax.jit(predict) for name, predict in task.predict.items()}

  def put(self, batch: Any) -> Any:
    """The batch on the devices."""
    import jax

    from vitlab.train import sharding

    return jax.device_put(batch, sharding.batch_sharding(self.mesh))

  def load(self, variables: Mapping[str, Any]) -> None:
    """Replaces the model's variables by others of the same shapes."""
    import jax

    old = self.state.variables['model']
    new = jax.tree.map(lambda value, like: jax.device_put(value, like.sharding), variables, old)
    self.state = self.state._replace(variables={'model': new})

  def load_file(self, path: str, family: str, form: str) -> None:
    """Replaces them by the weights that another subject has left there, in that form."""
    from safetensors.numpy import load_file

    from vitlab.pretrained import import_tensors

    like = self.state.variables['model']
    self.load(import_tensors(load_file(path), like, family, form))

  def train(self, batch: Any) -> None:
    import jax

    with jax.set_mesh(self.mesh):
      self.state, metrics = self._step(self.state, batch)
      jax.block_until_ready(metrics)

  def compiled(self, name: str, batch: Any) -> Any:
    """The program of a prediction, or of the step, 'train'; the calls that follow run it."""
    import jax

    with jax.set_mesh(self.mesh):
      if name == 'train':
        return self._step.lower(self.state, batch).compile()
      return self._predict[name].lower(self.state.variables, batch).compile()

  def train_memory(self, batch: Any) -> int:
    """Bytes on all devices at the height of a step, by its compiled program."""
    found = self.compiled('train', batch).memory_analysis()
    parts = found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes
    return self.mesh.size * (parts - found.alias_size_in_bytes)

  def predict(self, name: str, batch: Any) -> Any:
    import jax

    with jax.set_mesh(self.mesh):
      return jax.block_until_ready(self._predict[name](self.state.variables, batch))
