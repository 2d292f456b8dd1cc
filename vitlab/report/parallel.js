/** Parallel coordinates: an axis for each parameter and the metric, a line for each trial, ranges to keep to. */
function parallel(figure) {
  const { axes, trials } = study
  const drawn = trials.flatMap((trial, place) => trial.state === 'waiting' ? [] : [place])
  const columns = axes.map((_, k) => drawn.map(place => trials[place].at[k]))
  const brushes = new Map()  // number of an axis -> [from, to] as shares of its length, from the top
  const [left, right, top, bottom, least] = [54, 52, 40, 12, 86]
  const all = node('button', { class: 'chip', type: 'button', hidden: '', onclick: () => { brushes.clear(); brushed() } }, 'all trials')
  const say = node('span', { 'aria-live': 'polite' })
  const label = `Parallel coordinates of ${drawn.length} trials over ${axes.map(axis => axis.name).join(', ')}; the table below has their numbers`
  const plot = node('div', { class: 'plot scroll', tabindex: 0, role: 'img', 'aria-label': label })
  let [lines, ranges, length] = [[], [], 0]

  function draw() {
    const height = Math.min(380, Math.max(300, plot.clientWidth * 0.42))
    const gap = Math.max(least, (plot.clientWidth - left - right) / (axes.length - 1))
    const svg = node('svg', { width: left + gap * (axes.length - 1) + right, height })
    length = height - top - bottom
    const lost = columns.some(values => values.includes(null))
    const ends = [top + length - (lost ? 34 : 0), top]
    const y = axes.map((axis, k) => placer(axis, columns[k], ends, top + length))
    const x = k => left + k * gap
    lines = drawn.map(place => [place, axes.map((_, k) => [x(k), y[k](trials[place].at[k])])])
    for (const [place, points] of [...lines].reverse()) {
      svg.append(node('path', { ...looks(place, drawn.length > 80 ? 'many' : ''), d: through(points) }))
    }
    svg.append(node('g', { class: 'above' }))
    ranges = axes.map((_, k) => node('rect', { class: 'range', x: x(k) - 7, width: 14, rx: 3 }))
    axes.forEach((axis, k) => svg.append(...named(axis, k, x(k), y[k], gap, ends), ranges[k], brush(k, x(k))))
    plot.replaceChildren(svg)
    brushed()
  }

  /** The axis itself, its ticks beside it (right of the last one, where no lines are) and its name. */
  function named(axis, k, x, y, gap, ends) {
    const last = k === axes.length - 1
    const room = last ? right - 8 : k ? gap - 20 : left - 8
    const tick = (at, text) => fitted(text, room, { class: 'tick', x: x + (last ? 8 : -8), y: at + 4, 'text-anchor': last ? 'start' : 'end' })
    return [node('line', { class: 'axis', x1: x, x2: x, y1: ends[0], y2: ends[1] }),
      ...marks(axis, columns[k], y, 18).map(([value, text]) => tick(y(value), text)),
      ...(columns[k].includes(null) ? [tick(top + length, '–')] : []),
      fitted(axis.name, k && !last ? gap - 8 : 2 * Math.min(left, right), { class: 'name', x, y: 14, 'text-anchor': 'middle' })]
  }

  /** What is dragged along an axis; a click on it frees the axis. */
  function brush(k, x) {
    let from = null
    const at = event => Math.min(1, Math.max(0, (event.clientY - plot.getBoundingClientRect().top - top) / length))
    const touch = node('rect', { class: 'brush', x: x - 16, width: 32, y: top - 8, height: length + 16,
      onpointerdown: event => {
        from = at(event)
        touch.setPointerCapture(event.pointerId)
      },
      onpointermove: event => {
        if (from === null) return
        event.stopPropagation()
        pointAt(null)
        brushes.set(k, [from, at(event)].sort((a, b) => a - b))
        brushed()
      },
      onpointerup: event => {
        if (Math.abs(at(event) - from) * length < 3) brushes.delete(k)
        from = null
        brushed()
      },
      onclick: event => event.stopPropagation() })
    return touch
  }

  /** Keeps to the trials whose lines pass through all ranges. */
  function brushed() {
    const y = new Map(lines.map(([place, points]) => [place, points.map(one => (one[1] - top) / length)]))
    const isIn = place => [...brushes].every(([k, [from, to]]) => y.has(place) && from <= y.get(place)[k] && y.get(place)[k] <= to)
    study.isIn = isIn
    all.hidden = !brushes.size
    say.textContent = brushes.size ? `${drawn.filter(isIn).length} of ${drawn.length} trials` : ''
    ranges.forEach((range, k) => {
      const [from, to] = brushes.get(k) || [0, 0]
      range.setAttribute('y', top + from * length)
      range.setAttribute('height', (to - from) * length)
    })
    mark()
  }

  track(plot, (x, y) => nearestLine(lines, x, y))
  figure.append(node('div', { class: 'controls' }, legend(), all, say), plot)
  onWidth(figure, draw)
}
