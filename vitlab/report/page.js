// What all figures share, and the start: every figure is drawn from the JSON inside it. The files of
// the figures stand before this one in the page. Texts from a run go through textContent only.
const svgNS = document.querySelector('body > svg').namespaceURI

function node(name, attributes = {}, ...children) {
  const svg = ['svg', 'g', 'path', 'line', 'rect', 'circle', 'text', 'title'].includes(name)
  const made = svg ? document.createElementNS(svgNS, name) : document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value)
    else made.setAttribute(key, value)
  }
  made.append(...children)
  return made
}

function show(value) {
  if (value === null || value === undefined) return '–'
  const size = Math.abs(value)
  if (size && size < 1e-3) return value.toExponential(1).replace('e-', 'e−')
  if (size >= 1e4) return Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 }).format(value)
  return Intl.NumberFormat('en', { maximumSignificantDigits: 4 }).format(value)
}

const percent = share => (100 * share).toFixed(1) + ' %'

/** The round distance at which about `count` ticks span [low, high]. */
function tickStep(low, high, count) {
  const raw = (high - low) / count || 1
  const power = 10 ** Math.floor(Math.log10(raw))
  return power * [1, 2, 5, 10].find(m => m * power >= raw * 0.999)
}

/** About `count` round numbers that span [low, high]. */
function ticks(low, high, count) {
  const step = tickStep(low, high, count)
  const found = []
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step + 0)  // no -0
  return found
}

/** Draws now and whenever the figure gets wider or narrower. */
function onWidth(figure, draw) {
  let width = 0
  new ResizeObserver(() => requestAnimationFrame(() => {
    if (figure.clientWidth !== width) draw(width = figure.clientWidth)
  })).observe(figure)
}

for (const figure of document.querySelectorAll('[data-figure]')) {
  const data = JSON.parse(figure.querySelector('script').textContent)
  globalThis[figure.dataset.figure](figure, data)  // the function of that name
}
