"""Looks at a report page in headless Chromium: does anything overlap, leave the screen or fail?

  python experiments/report/in_browser.py runs/vit_digits/report.html --output=/tmp/pictures

Opens the page at 1280 and 400 px, light and dark, leaves a picture of each (beside the page if
--output names no folder), prints what is wrong and exits with 1 if anything is. Needs Chromium or
Chrome; a few seconds per picture.
"""

import argparse
import html
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

# Runs inside the page. Table cells may leave the screen: their tables scroll.
PROBE = """<script>
const wrong = []
addEventListener('error', event => wrong.push('error: ' + event.message))
setTimeout(() => {
  const touch = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3
  const boxes = elements => elements.map(e => [e.textContent.trim(), e.getBoundingClientRect()])
  const all = (query, inside = document) => [...inside.querySelectorAll(query)]
  const leaves = all('header *, main *').filter(e => !e.closest('svg, script, .scroll, .maps, b') &&
    !e.childElementCount && e.textContent.trim() && e.offsetParent)
  for (const group of [leaves, ...all('main svg').map(svg => all('text', svg))].map(boxes)) {
    group.forEach(([a, p], i) => group.slice(i + 1).forEach(([b, q]) => {
      if (touch(p, q)) wrong.push(`overlap: ${a} | ${b}`)
    }))
  }
  for (const [text, box] of boxes(leaves)) {
    if (box.right > innerWidth + 1) wrong.push('off screen: ' + text)
  }
  const page = document.documentElement
  if (page.scrollWidth > page.clientWidth) wrong.push('the page scrolls sideways')
  const textContent = JSON.stringify({ wrong, height: page.scrollHeight })
  const found = Object.assign(document.createElement('pre'), { id: 'found', textContent })
  found.hidden = true
  document.body.append(found)
}, 1500)
</script>"""

# A frame, because a window of Chromium is never narrower than 500 px.
FRAME = """<meta name="color-scheme" content="light dark"><body style="margin:0">
<iframe id="frame" src="probed.html" style="border:0; width:{width}px; height:{height}px"></iframe>
<script>
setTimeout(() => document.body.append(frame.contentDocument.getElementById('found')), 2500)
</script>"""


def look(
  browser: str, page: pathlib.Path, width: int, dark: bool, picture: pathlib.Path
) -> list[str]:
  """Makes a picture of the whole page and returns what is wrong with it, in words."""
  with tempfile.TemporaryDirectory() as folder:
    frame = pathlib.Path(folder) / 'frame.html'
    source = page.read_text(encoding='utf-8').replace('<style>', PROBE + '<style>', 1)
    (frame.parent / 'probed.html').write_text(source, encoding='utf-8')

    def open_frame(height: int, flag: str) -> str:
      frame.write_text(FRAME.format(width=width, height=height))
      command = [
        browser,
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--hide-scrollbars',
        '--allow-file-access-from-files',
        '--virtual-time-budget=6000',
        f'--blink-settings=preferredColorScheme={0 if dark else 1}',
        f'--window-size={max(width, 500)},{height}',
        flag,
        frame.as_uri(),
      ]
      return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    dom = open_frame(900, '--dump-dom')
    found = json.loads(html.unescape(dom.rpartition('hidden="">')[2].partition('</pre>')[0]))
    open_frame(found['height'], f'--screenshot={picture.resolve()}')
  return found['wrong']


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('page', type=pathlib.Path)
  parser.add_argument('--output', type=pathlib.Path, help='by default beside the page')
  names = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
  parser.add_argument('--browser', default=next(filter(None, map(shutil.which, names)), None))
  options = parser.parse_args()
  if options.browser is None:
    parser.error('no Chromium found: install it or give --browser=PATH')
  folder = options.output or options.page.parent
  folder.mkdir(parents=True, exist_ok=True)
  failed = False
  for width in (1280, 400):
    for dark in (False, True):
      picture = folder / f'{options.page.stem}_{width}_{"dark" if dark else "light"}.png'
      wrong = look(options.browser, options.page, width, dark, picture)
      print(f'{picture}: {"; ".join(wrong) or "nothing overlaps"}')
      failed |= bool(wrong)
  return int(failed)


if __name__ == '__main__':
  sys.exit(main())
