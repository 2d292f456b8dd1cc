/** Powers of ten in [low, high], with their 2 and 5 where there are few; or other `digits` of them. */
function logTicks(low, high, digits = Math.log10(high / low) < 1.5 ? [1, 2, 5] : [1]) {
  const found = []
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
    for (const digit of digits) {
      const value = digit * 10 ** power
      if (value >= low && value <= high) found.push(value)
    }
  }
  return found.length ? found : [low, high]
}

/** Exponential moving average, corrected for its start; null stays null. */
function smooth(values, weight) {
  let sum = 0
  let mass = 0
  return values.map(value => {
    if (value === null) return null
    sum = weight * sum + (1 - weight) * value
    mass = weight * mass + (1 - weight)
    return sum / mass
  })
}

/** Index of the step that is nearest; `steps` is sorted. */
function nearest(steps, step) {
  let [low, high] = [0, steps.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (steps[middle] < step) low = middle + 1
    else high = middle
  }
  return low > 0 && step - steps[low - 1] < steps[low] - step ? low - 1 : low
}

/** Charts of all metrics: one cursor for all, lines that can be hidden, smoothing. */
function curves(figure, data) {
  const many = data.runs.length > 1
  const evaluators = [...new Set(data.charts.flatMap(chart => chart.series.map(s => s.evaluator)))]
  // One run: a colour per evaluator. Several: a colour per run, and training is dotted.
  const colour = s => 'c' + (many ? s.run : evaluators.indexOf(s.evaluator)) % 8
  const dashed = (s, chart) => many && s.evaluator === 'train' && chart.series.some(other => other.evaluator !== 'train')
  const name = s => (many ? data.runs[s.run] + ' ' : '') + (s.evaluator || 'value')
  const state = { hidden: new Set(), weight: 0, step: null }
  const isShown = s => !state.hidden.has('run ' + s.run) && !state.hidden.has('part ' + s.evaluator)
  const steps = [...new Set(data.charts.flatMap(c => c.series.flatMap(s => s.steps)))].sort((a, b) => a - b)
  const span = [steps[0], steps[steps.length - 1]]
  const charts = data.charts.map((chart, place) => lineChart(chart, place < 2 && data.charts.length > 1))
  const drawAll = () => charts.forEach(chart => chart.draw())
  const point = step => { state.step = step; charts.forEach(chart => chart.point()) }

  function chip(id, text, classes) {
    const press = () => {
      state.hidden.has(id) ? state.hidden.delete(id) : state.hidden.add(id)
      button.setAttribute('aria-pressed', !state.hidden.has(id))
      drawAll()
    }
    const button = node('button', { class: 'chip', type: 'button', 'aria-pressed': true, onclick: press },
      node('i', { class: 'key ' + classes }), text)
    return button
  }

  function lineChart(chart, leads) {
    let log = false
    let place = null  // set by draw: step and value -> pixels
    const readout = node('p', { class: 'readout' })
    const plot = node('div', { class: 'plot', tabindex: 0, role: 'img', 'aria-label': describe() })
    const finite = chart.series.flatMap(s => s.values).filter(v => v !== null)
    const canLog = Math.min(...finite) > 0 && Math.max(...finite) > 5 * Math.min(...finite)
    const toggle = node('button', { class: 'log', type: 'button', 'aria-pressed': false, onclick: () => {
      log = !log
      toggle.setAttribute('aria-pressed', log)
      draw()
    } }, 'log')
    const title = node('h3', {}, chart.metric.replaceAll('_', ' '))
    const box = node('figure', { class: leads ? 'chart lead-chart' : 'chart' },
      node('header', {}, title, ...(canLog ? [toggle] : [])), readout, plot)

    function describe() {
      return chart.metric + ': ' + chart.series.map(s =>
        `${name(s)} from ${show(s.values[0])} to ${show(s.values[s.values.length - 1])}`).join('; ')
    }

    function draw() {
      const width = plot.clientWidth
      const height = leads ? 230 : 150
      const series = chart.series.filter(isShown)
      const values = series.flatMap(s => s.values).filter(v => v !== null)
      plot.replaceChildren()
      box.hidden = !series.length
      if (!values.length) return pointHere()
      const size = { left: 46, right: 10, top: 8, bottom: 22 }
      let [low, high] = [Math.min(...values), Math.max(...values)]
      if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - (Math.abs(low) || 1) / 10, high + (Math.abs(high) || 1) / 10]
      let step
      if (!log) {
        step = tickStep(low, high, leads ? 5 : 3)
        ;[low, high] = [Math.floor(low / step + 1e-6) * step, Math.ceil(high / step - 1e-6) * step]
      }
      const forward = log ? Math.log : v => v
      const y = v => height - size.bottom - (forward(v) - forward(low)) / (forward(high) - forward(low)) * (height - size.top - size.bottom)
      const x = s => size.left + (s - span[0]) / (span[1] - span[0] || 1) * (width - size.left - size.right)
      place = { x, y, height, size, width }
      const svg = node('svg', { width, height, 'aria-hidden': true })
      for (const tick of log ? logTicks(low, high) : ticks(low, high, (high - low) / step)) {
        svg.append(node('line', { class: 'grid', x1: size.left, x2: width - size.right, y1: y(tick), y2: y(tick) }),
          node('text', { x: size.left - 8, y: y(tick) + 4, 'text-anchor': 'end' }, show(tick)))
      }
      svg.append(node('text', { x: size.left - 8, y: height - 4, 'text-anchor': 'end' }, 'step'))
      for (const tick of ticks(span[0], span[1], width / 110)) {
        if (x(tick) - 3.3 * show(tick).length < size.left - 4) continue  // the word 'step' stands there
        const anchor = x(tick) > width - 24 ? 'end' : 'middle'
        svg.append(node('text', { x: anchor === 'end' ? width - size.right : x(tick), y: height - 4, 'text-anchor': anchor }, show(tick)))
      }
      for (const s of [...series].reverse()) {  // held-out data on top
        const kind = `series ${colour(s)}${dashed(s, chart) ? ' dashed' : ''}`
        if (state.weight) svg.append(node('path', { class: kind + ' raw', d: path(s.steps, s.values) }))
        svg.append(node('path', { class: kind, d: path(s.steps, smooth(s.values, state.weight)) }))
        if (s.steps.length === 1 && s.values[0] !== null) svg.append(node('circle', { class: 'dot ' + colour(s), r: 4, cx: x(s.steps[0]), cy: y(s.values[0]) }))
      }
      svg.append(node('g', { class: 'at' }))
      plot.append(svg)
      pointHere()
    }

    function path(at, values) {
      let pen = 'M'
      return at.map((step, i) => {
        if (values[i] === null) { pen = 'M'; return '' }
        const part = `${pen}${place.x(step).toFixed(1)},${place.y(values[i]).toFixed(1)}`
        pen = 'L'
        return part
      }).join('')
    }

    /** The cursor, and the values at its step; without a step the last values. */
    function pointHere() {
      const group = plot.querySelector('.at')
      if (group) group.replaceChildren()
      const series = chart.series.filter(isShown)
      const parts = series.map(s => {
        const i = state.step === null ? s.steps.length - 1 : nearest(s.steps, state.step)
        const value = smooth(s.values, state.weight)[i]
        if (group && state.step !== null && value !== null) {
          group.append(node('circle', { class: 'dot ' + colour(s), r: 4, cx: place.x(s.steps[i]), cy: place.y(value) }))
        }
        const label = many || series.length < 2 ? '' : s.evaluator + ' '
        return node('span', {}, node('i', { class: `key ${colour(s)}${dashed(s, chart) ? ' dashed' : ''}` }), label,
          node('b', {}, value === null ? 'not finite' : show(value)))
      })
      if (state.step !== null && group) {
        const at = place.x(state.step)
        group.prepend(node('line', { class: 'cursor', x1: at, x2: at, y1: place.size.top, y2: place.height - place.size.bottom }))
        parts.push(node('span', {}, 'step ' + state.step.toLocaleString('en')))
      }
      const lost = series.reduce((sum, s) => sum + s.lost, 0)
      if (lost && state.step === null) parts.push(node('span', {}, `${lost} not finite`))
      readout.replaceChildren(...parts)
    }

    plot.addEventListener('pointermove', event => {
      if (!place) return
      const { left, right } = place.size
      const share = (event.clientX - plot.getBoundingClientRect().left - left) / (place.width - left - right)
      point(steps[nearest(steps, span[0] + Math.min(1, Math.max(0, share)) * (span[1] - span[0]))])
    })
    plot.addEventListener('pointerleave', () => point(null))
    plot.addEventListener('blur', () => point(null))
    plot.addEventListener('keydown', event => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
      if (!move) return
      event.preventDefault()
      const from = state.step === null ? (move > 0 ? -1 : steps.length) : nearest(steps, state.step)
      point(steps[Math.min(steps.length - 1, Math.max(0, from + move))])
    })
    return { box, draw, point: pointHere }
  }

  const slider = node('input', { type: 'range', min: 0, max: 0.95, step: 0.05, value: 0, oninput: () => {
    state.weight = Number(slider.value)
    drawAll()
  } })
  const runs = many ? data.runs.map((run, i) => chip('run ' + i, run, 'c' + i % 8)) : []
  const shared = new Set(data.charts.filter(chart => new Set(chart.series.map(s => s.evaluator)).size > 1)
    .flatMap(chart => chart.series.map(s => s.evaluator)))
  const parts = [...shared].map(part =>
    chip('part ' + part, part || 'value', !many ? 'c' + evaluators.indexOf(part) % 8 : part === 'train' ? 'c7 dashed' : 'c7'))
  figure.append(node('div', { class: 'controls' }, ...runs, ...parts, node('label', {}, 'smoothing', slider)),
    node('div', { class: 'charts' }, ...charts.map(chart => chart.box)))
  onWidth(figure, drawAll)
}
