"""Files as a folder or an archive of any kind."""

import io
import tarfile
import zipfile

KINDS = ['folder', 'zip', 'stored.zip', 'tar', 'tar.gz', 'tar.xz']


def write(root, files, kind='folder'):
  """The files as a folder or an archive; names that end with '/' are empty folders."""
  root.mkdir(parents=True, exist_ok=True)
  if kind == 'folder':
    for name, content in files.items():
      (root / name).parent.mkdir(parents=True, exist_ok=True)
      (root / name).mkdir() if name.endswith('/') else (root / name).write_bytes(content)
    return str(root)
  path = root / f'pictures.{kind}'
  if kind.endswith('zip'):
    method = zipfile.ZIP_STORED if kind.startswith('stored') else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, 'w', method) as archive:
      for name, content in files.items():
        archive.writestr(name, content)
    return str(path)
  with tarfile.open(path, f'w:{kind[4:]}') as archive:
    for name, content in files.items():
      member = tarfile.TarInfo(name.rstrip('/'))
      member.type = tarfile.DIRTYPE if name.endswith('/') else tarfile.REGTYPE
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))
  return str(path)
