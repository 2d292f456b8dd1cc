"""Event files as tensorboardX understands them."""

from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import masked_crc32c


def read(folder):
  """All scalars in the event files, in the order written, and the steps where a restart began."""
  scalars, restarts = [], []
  for path in sorted(folder.glob('events.out.*')):
    data, offset = path.read_bytes(), 0
    while offset < len(data):
      length = int.from_bytes(data[offset : offset + 8], 'little')
      for start, size in ((offset, 8), (offset + 12, length)):
        stored = int.from_bytes(data[start + size : start + size + 4], 'little')
        assert stored == masked_crc32c(data[start : start + size])
      event = event_pb2.Event.FromString(data[offset + 12 : offset + 12 + length])
      assert offset or event.file_version == 'brain.Event:2'
      offset += 12 + length + 4
      if event.session_log.status == event_pb2.SessionLog.START:
        restarts.append(event.step)
      scalars += [(event.step, v.tag, v.simple_value) for v in event.summary.value]
  return scalars, restarts
