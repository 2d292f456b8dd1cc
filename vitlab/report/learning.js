/** Learning curves: all trials in one chart of one metric at a time, the best ones in bold. */
function learning(figure, charts) {
  const plot = node('div', { class: 'plot', tabindex: 0, role: 'img' })
  const toggle = node('button', { class: 'log', type: 'button', onclick: () => { axis.log = !axis.log; draw() } }, 'log')
  const choice = node('select', { class: 'chip', 'aria-label': 'metric', onchange: take },
    ...charts.map(({ metric }) => node('option', {}, metric)))
  let [series, axis, lines] = [[], {}, []]

  function take() {
    series = charts[choice.selectedIndex].series.map(({ trial, steps, values }) =>
      [trial, steps.map((step, i) => [step, values[i]]).filter(([, value]) => value !== null)]).filter(([, points]) => points.length)
    const values = series.flatMap(([, points]) => points.map(one => one[1]))
    const [low, high] = [Math.min(...values), Math.max(...values)]
    toggle.hidden = !(low > 0 && high > 5 * low)
    axis = { values, steps: series.flatMap(([, points]) => points.map(one => one[0])), log: low > 0 && high > 10 ** 1.5 * low }
    plot.setAttribute('aria-label', `${charts[choice.selectedIndex].metric} of ${series.length} trials over the steps`)
    draw()
  }

  function draw() {
    const width = plot.clientWidth
    const height = Math.min(360, Math.max(240, width * 0.42))
    const [left, right, top, bottom] = [50, 12, 10, 26]
    toggle.setAttribute('aria-pressed', axis.log)
    const svg = node('svg', { width, height })
    const x = placer({}, [0, ...axis.steps], [left, width - right])
    const y = placer(axis, axis.values, [height - bottom - 4, top])
    const ends = [Math.min(...axis.values), Math.max(...axis.values)]
    const many = new Set(axis.values).size > 1
    for (const tick of many && !axis.log ? ticks(...ends, 5) : marks(axis, axis.values, y, 24).map(([value]) => value)) {
      svg.append(node('line', { class: 'grid', x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
        node('text', { x: left - 8, y: y(tick) + 4, 'text-anchor': 'end' }, show(tick)))
    }
    svg.append(node('text', { x: left - 8, y: height - 4, 'text-anchor': 'end' }, 'step'))
    for (const tick of ticks(0, Math.max(...axis.steps), width / 110).filter(Boolean)) {
      const atEnd = x(tick) > width - 24
      svg.append(node('text', { x: atEnd ? width - right : x(tick), y: height - 4, 'text-anchor': atEnd ? 'end' : 'middle' }, show(tick)))
    }
    lines = series.map(([place, points]) => [place, points.map(([step, value]) => [x(step), y(value)])])
    for (const [place, points] of [...lines].reverse()) {
      const kind = place < 5 && study.trials[place].rank !== null ? 'top' : series.length > 80 ? 'many' : 'thin'
      svg.append(points.length > 1 ? node('path', { ...looks(place, kind), d: through(points) })
        : node('circle', { ...looks(place), cx: points[0][0], cy: points[0][1], r: 4 }))
    }
    svg.append(node('g', { class: 'above' }))
    plot.replaceChildren(svg)
    mark()
  }

  track(plot, (x, y) => nearestLine(lines, x, y))
  figure.append(node('div', { class: 'controls' }, legend(), choice, toggle), plot)
  let begun = false
  onWidth(figure, () => begun ? draw() : (begun = true, take()))
}
