/** Mean attention distance against depth: a dot for each head, a line through the means. */
function distance(figure, models) {
  const most = Math.max(...models.flatMap(model => model.layers.flatMap(layer => layer.pixels)))
  const depth = Math.max(...models.map(model => model.layers.length))
  const mean = values => values.reduce((a, b) => a + b, 0) / values.length
  const say = node('p', { class: 'say', 'aria-live': 'polite' })
  const plot = node('div', { role: 'img', 'aria-label': 'Mean attention distance by layer: ' +
    models.map(model => `${model.name} from ${show(mean(model.layers[0].pixels))} to ${show(mean(model.layers[model.layers.length - 1].pixels))} pixels`).join('; ') })
  const rest = () => say.replaceChildren('Point at a layer to read it.')

  function tell(layer) {
    const parts = models.filter(model => layer < model.layers.length).map(model => {
      const pixels = model.layers[layer].pixels
      return [model.name ? ` ${model.name}: ` : ' ', node('b', {}, show(mean(pixels))), ` pixels, heads from ${show(Math.min(...pixels))} to ${show(Math.max(...pixels))}.`]
    })
    say.replaceChildren(`Layer ${layer + 1}:`, ...parts.flat())
  }

  function draw() {
    const width = plot.clientWidth
    const height = Math.min(340, Math.max(240, width * 0.45))
    const [left, right, top, bottom] = [46, 16, 28, 42]
    const step = (width - left - right) / depth
    const x = layer => left + (layer + 0.5) * step
    const size = ticks(0, most, 4)[1]
    const high = Math.ceil(most / size - 1e-9) * size
    const marks = ticks(0, high, high / size)
    const y = v => top + (1 - v / high) * (height - top - bottom)
    const svg = node('svg', { width, height }, node('text', { x: 0, y: 12 }, 'mean distance, pixels'),
      node('text', { x: left + (width - left - right) / 2, y: height - 4, 'text-anchor': 'middle' }, 'layer'))
    for (const tick of marks) {
      svg.append(node('line', { class: 'grid', x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
        node('text', { x: left - 8, y: y(tick) + 4, 'text-anchor': 'end' }, show(tick)))
    }
    const every = Math.ceil(24 / step)
    for (let layer = 0; layer < depth; layer++) {
      if (layer % every === 0) svg.append(node('text', { x: x(layer), y: height - 24, 'text-anchor': 'middle' }, String(layer + 1)))
    }
    for (const { run, layers } of models) {
      const colour = 'c' + run % 8
      layers.forEach(({ pixels }, layer) => pixels.forEach(value =>
        svg.append(node('circle', { class: 'head ' + colour, r: 4, cx: x(layer), cy: y(value) }))))
      svg.append(node('path', { class: 'series ' + colour, d: layers.map(({ pixels }, layer) => `${layer ? 'L' : 'M'}${x(layer).toFixed(1)},${y(mean(pixels)).toFixed(1)}`).join('') }))
    }
    for (let layer = 0; layer < depth; layer++) {
      svg.append(node('rect', { class: 'touch', x: left + layer * step, y: top, width: step, height: height - top - bottom, onpointerenter: () => tell(layer) }))
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
