/** The metric against each parameter: a point for each trial, a bar for the mean over the seeds. */
function scatter(figure) {
  const { axes, trials, means } = study
  const last = axes.length - 1
  const metric = axes[last]
  const drawn = trials.flatMap((trial, place) => trial.state === 'waiting' ? [] : [place])
  const column = k => drawn.map(place => trials[place].at[k])
  const reached = column(last).filter(value => value !== null)
  const lost = reached.length < drawn.length
  const [height, left, right, top, bottom] = [200, 50, 14, 12, 34]
  const floor = height - bottom  // where a trial without a value lies
  const y = placer(metric, reached, [floor - (lost ? 26 : 0), top], floor)
  const heights = metric.log || new Set(reached).size < 2 ? marks(metric, reached, y, 28).map(([value]) => value)
    : ticks(Math.min(...reached), Math.max(...reached), 5)
  const charts = axes.slice(0, -1).map(panel)

  function panel(axis, k) {
    const values = column(k)
    const label = `${metric.name} against ${axis.name}; the table below has the numbers`
    const plot = node('div', { class: 'plot', tabindex: 0, role: 'img', 'aria-label': label })
    let points = []

    function draw() {
      const width = plot.clientWidth
      const svg = node('svg', { width, height })
      const x = placer(axis, values, [left + (values.includes(null) ? 40 : 12), width - right], left + 8)
      const room = axis.categories ? (width - right - left) / axis.categories.length : 48
      const write = (at, text) => svg.append(fitted(text, room - 6, { x: at, y: height - 4, 'text-anchor': at > width - 24 ? 'end' : 'middle' }))
      for (const [at, text] of [...heights.map(tick => [y(tick), show(tick)]), ...(lost ? [[floor, '–']] : [])]) {
        svg.append(node('line', { class: 'grid', x1: left, x2: width, y1: at, y2: at }), node('text', { x: left - 8, y: at + 4, 'text-anchor': 'end' }, text))
      }
      for (const [value, text] of marks(axis, values, x, axis.categories ? 28 : 48)) write(x(value), text)
      if (values.includes(null)) write(left + 8, '–')
      // Categories have room beside them: the golden ratio spreads the points, however many.
      const beside = place => axis.categories ? ((place * 0.618) % 1 - 0.5) * Math.min(44, room / 2) : 0
      points = drawn.map(place => [place, x(trials[place].at[k]) + beside(place), y(trials[place].at[last])])
      for (const [place, cx, cy] of [...points].reverse()) svg.append(node('circle', { ...looks(place), cx, cy, r: drawn.length > 80 ? 3.2 : 4.5 }))
      for (const { at, mean } of means) {
        if (at[k] === null) continue  // a seed
        const half = axis.categories ? Math.min(26, room / 3) : 10
        svg.append(node('line', { class: 'mean', x1: x(at[k]) - half, x2: x(at[k]) + half, y1: y(mean), y2: y(mean) }))
      }
      svg.append(node('g', { class: 'above' }))
      plot.replaceChildren(svg)
    }

    track(plot, (x, y) => {
      let [found, least] = [null, 16]
      for (const [place, cx, cy] of points) {
        const distance = Math.hypot(cx - x, cy - y)
        if (distance < least && study.isIn(place)) [found, least] = [place, distance]
      }
      return found
    })
    return { draw, box: node('figure', { class: 'chart' }, node('h3', {}, axis.name), plot) }
  }

  figure.append(node('div', { class: 'controls' }, legend()), node('div', { class: 'charts' }, ...charts.map(chart => chart.box)))
  onWidth(figure, () => { charts.forEach(chart => chart.draw()); mark() })
}
