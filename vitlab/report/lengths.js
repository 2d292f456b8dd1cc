/** The share of right sentences against their length: a line for each run. */
function lengths(figure, models) {
  const every = models.flatMap(model => model.points)
  const [low, high] = [Math.min(...every.map(p => p[0])), Math.max(...every.map(p => p[0]))]
  const say = node('p', { class: 'say', 'aria-live': 'polite' })
  const plot = node('div', { role: 'img', 'aria-label': 'Accuracy by length: ' + models.map(({ name, points }) =>
    `${name} ${percent(points[0][1])} at ${points[0][0]}, ${percent(points[points.length - 1][1])} at ${points[points.length - 1][0]}`).join('; ') })
  const rest = () => say.replaceChildren('Point at a length to read it.')

  function tell(length) {
    const parts = models.flatMap(({ name, points }) => points.filter(p => p[0] === length).map(([, share, count]) =>
      [name ? ` ${name}: ` : ' ', node('b', {}, percent(share)), ` of ${show(count)}.`]))
    say.replaceChildren(`Length ${length}:`, ...(parts.length ? parts.flat() : [' none.']))
  }

  function draw() {
    const width = plot.clientWidth
    const height = Math.min(320, Math.max(230, width * 0.4))
    const [left, right, top, bottom] = [46, 16, 28, 42]
    const step = (width - left - right) / (high - low + 1)
    const x = length => left + (length - low + 0.5) * step
    const y = share => top + (1 - share) * (height - top - bottom)
    const svg = node('svg', { width, height }, node('text', { x: 0, y: 12 }, 'right sentences'),
      node('text', { x: left + (width - left - right) / 2, y: height - 4, 'text-anchor': 'middle' }, 'tokens of the source'))
    for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
      svg.append(node('line', { class: 'grid', x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
        node('text', { x: left - 8, y: y(tick) + 4, 'text-anchor': 'end' }, `${100 * tick} %`))
    }
    const apart = Math.ceil(28 / step)
    for (let length = low; length <= high; length += apart) {
      svg.append(node('text', { x: x(length), y: height - 24, 'text-anchor': 'middle' }, String(length)))
    }
    for (const { run, points } of models) {
      svg.append(node('path', { class: 'series c' + run % 8, d: points.map(([length, share], i) => `${i ? 'L' : 'M'}${x(length).toFixed(1)},${y(share).toFixed(1)}`).join('') }),
        ...points.map(([length, share]) => node('circle', { class: 'dot c' + run % 8, r: 4, cx: x(length), cy: y(share) })))
    }
    for (let length = low; length <= high; length++) {
      svg.append(node('rect', { class: 'touch', x: x(length) - step / 2, y: top, width: step, height: height - top - bottom, onpointerenter: () => tell(length) }))
    }
    plot.replaceChildren(svg)
  }
  plot.addEventListener('pointerleave', rest)
  rest()
  const named = models.filter(model => model.name)
  figure.append(...(named.length ? [node('div', { class: 'controls' }, ...named.map(model =>
    node('span', {}, node('i', { class: 'key c' + model.run % 8 }), model.name)))] : []), plot, say)
  onWidth(figure, draw)
}
