/**
 * Words in a plane: drag to move it, the wheel, two fingers or the buttons to come nearer; a word that
 * is searched for is in the middle, with its name. Names stand where there is room, frequent ones first.
 */
function words(figure, { words, x, y }) {
  const plot = node('div', { class: 'plot words', tabindex: 0, role: 'img', 'aria-label': `a map of ${words.length} words; search for one above it` })
  const names = node('datalist', { id: 'words-of-the-map' })
  for (const word of words) names.append(node('option', { value: word }))
  const search = node('input', { type: 'search', placeholder: 'find a word', list: 'words-of-the-map', 'aria-label': 'find a word', oninput: () => find(search.value.trim()) })
  const say = node('p', { class: 'say', 'aria-live': 'polite' }, 'Drag to move, scroll to zoom.')
  const button = (text, label, act) => node('button', { type: 'button', 'aria-label': label, onclick: act }, text)
  const middle = values => (Math.min(...values) + Math.max(...values)) / 2
  const spread = Math.max(Math.max(...x) - Math.min(...x), Math.max(...y) - Math.min(...y)) || 1
  const home = { x: middle(x), y: middle(y), zoom: 1 }
  let [view, chosen, width, height] = [{ ...home }, -1, 0, 0]

  const scale = () => 0.94 * Math.min(width, height) / spread * view.zoom
  const at = i => [width / 2 + (x[i] - view.x) * scale(), height / 2 - (y[i] - view.y) * scale()]

  function draw() {
    const svg = node('svg', { width, height })
    const taken = []
    const room = box => taken.every(([a, b, c, d]) => box[0] > c || box[2] < a || box[1] > d || box[3] < b)
    const order = chosen < 0 ? words.keys() : [chosen, ...words.keys()]
    const dots = node('g', { class: 'dots' })
    for (const i of order) {
      const [cx, cy] = at(i)
      if (cx < 0 || cy < 8 || cx > width || cy > height - 4 || (i === chosen && taken.length)) continue
      const long = 7.2 * words[i].length + 8
      const box = [cx - 2, cy - 9, cx + long, cy + 7]
      if (box[2] < width && room(box)) {
        taken.push(box)
        svg.append(node('text', { x: cx + 5, y: cy + 4, class: i === chosen ? 'found' : '' }, words[i]))
      }
      dots.append(node('circle', { cx, cy, r: i === chosen ? 4 : 1.6, class: i === chosen ? 'found' : '' }))
    }
    svg.prepend(dots)
    plot.replaceChildren(svg)
  }

  function zoom(factor, px = width / 2, py = height / 2) {
    const [dx, dy] = [(px - width / 2) / scale(), (height / 2 - py) / scale()]
    const next = Math.min(200, Math.max(0.8, view.zoom * factor))
    const kept = 1 - view.zoom / next
    view = { x: view.x + dx * kept, y: view.y + dy * kept, zoom: next }
    draw()
  }

  function find(text) {
    chosen = words.indexOf(text)
    if (chosen < 0) chosen = words.indexOf(text.toLowerCase())
    say.textContent = !text ? 'Drag to move, scroll to zoom.'
      : chosen < 0 ? `${text} is not among the ${words.length} most frequent words.` : `${words[chosen]}: number ${chosen + 1} by frequency.`
    if (chosen >= 0) view = { x: x[chosen], y: y[chosen], zoom: Math.max(view.zoom, 6) }
    draw()
  }

  const fingers = new Map()
  plot.addEventListener('pointerdown', event => { fingers.set(event.pointerId, event); plot.setPointerCapture(event.pointerId) })
  for (const end of ['pointerup', 'pointercancel']) plot.addEventListener(end, event => fingers.delete(event.pointerId))
  plot.addEventListener('pointermove', event => {
    const before = fingers.get(event.pointerId)
    if (!before) return
    fingers.set(event.pointerId, event)
    const other = [...fingers.values()].find(finger => finger.pointerId !== event.pointerId)
    if (other) {
      const apart = finger => Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY) || 1
      zoom(apart(event) / apart(before))
    } else {
      view = { ...view, x: view.x - (event.clientX - before.clientX) / scale(), y: view.y + (event.clientY - before.clientY) / scale() }
      draw()
    }
  })
  plot.addEventListener('wheel', event => {
    event.preventDefault()
    const { left, top } = plot.getBoundingClientRect()
    zoom(Math.exp(-event.deltaY / 400), event.clientX - left, event.clientY - top)
  }, { passive: false })
  figure.append(names, node('div', { class: 'controls' }, search, button('+', 'nearer', () => zoom(1.5)), button('−', 'farther', () => zoom(1 / 1.5)),
    button('all', 'all words', () => { view = { ...home }; draw() })), say, plot)
  onWidth(figure, () => { [width, height] = [plot.clientWidth, Math.min(640, Math.max(360, plot.clientWidth * 0.7))]; draw() })
}
