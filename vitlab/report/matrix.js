/** The confusion matrix: blue where the model is right, red where it is not, by share of the row. */
function confusion(figure, data) {
  const { counts, names } = data
  const say = node('p', { class: 'say', 'aria-live': 'polite' })
  const plot = node('div', { class: 'scroll', tabindex: 0, role: 'img', 'aria-label': `Confusion matrix of ${names.length} classes; its largest entries stand in the table below` })
  const rest = () => say.replaceChildren('Point at a cell to read it.')

  function draw() {
    const width = Math.min(figure.clientWidth, 640)
    const most = width < 480 ? 11 : 16
    const short = name => name.length > most ? name.slice(0, most - 1) + '…' : name
    const room = 6.4 * Math.max(...names.map(name => short(name).length))
    const left = 14 + room
    const cell = Math.min(48, Math.max(12, (width - left) / names.length))  // below 12 it scrolls
    const upright = room > cell - 4
    const top = upright ? 12 + room : 22
    const style = `font-size:${Math.min(11.5, cell - 2)}px`
    const svg = node('svg', { width: left + cell * names.length + 1, height: top + cell * names.length + 2 })
    names.forEach((name, i) => {
      const middle = (i + 0.5) * cell
      svg.append(node('text', { x: left - 8, y: top + middle + 4, 'text-anchor': 'end', style }, short(name)))
      svg.append(upright
        ? node('text', { transform: `translate(${left + middle + 4} ${top - 8}) rotate(-90)`, style }, short(name))
        : node('text', { x: left + middle, y: top - 8, 'text-anchor': 'middle', style }, short(name)))
    })
    counts.forEach((row, t) => {
      const total = row.reduce((a, b) => a + b, 0)
      row.forEach((count, p) => {
        const share = total ? count / total : 0
        const kind = !count ? 'none' : t === p ? 'right' : 'wrong'
        // Mistakes are rare: their square root makes one in a hundred visible.
        const opacity = !count ? 1 : t === p ? 0.15 + 0.85 * share : 0.15 + 0.85 * Math.sqrt(share)
        const text = () => say.replaceChildren(node('b', {}, String(count)), ` of ${total} `, node('b', {}, names[t]),
          t === p ? ' were recognised' : ' were taken for ', t === p ? '' : node('b', {}, names[p]), ` (${percent(share)})`)
        svg.append(node('rect', { class: 'cell ' + kind, x: left + p * cell, y: top + t * cell, width: cell, height: cell,
          rx: cell > 20 ? 3 : 0, 'fill-opacity': opacity, onpointerenter: text }))
        if (count && cell >= 24) {
          svg.append(node('text', { class: 'count' + (opacity > 0.6 ? ' strong' : ''), x: left + (p + 0.5) * cell, y: top + (t + 0.5) * cell + 4 }, show(count)))
        }
      })
    })
    plot.replaceChildren(svg)
  }
  plot.addEventListener('pointerleave', rest)
  rest()
  figure.append(plot, say)
  onWidth(figure, draw)
}

/** Reliability: accuracy against confidence with the gap to the diagonal; how many say so beside it. */
function calibration(figure, data) {
  const bins = data.count.length
  const most = Math.max(...data.count)
  const say = node('p', { class: 'say', 'aria-live': 'polite' })
  const label = `Reliability diagram, expected calibration error ${percent(data.error)}`
  const panels = node('div', { class: 'panels' }, node('div', { role: 'img', 'aria-label': label }),
    node('div', { role: 'img', 'aria-label': 'How many examples have which confidence' }))
  const rest = () => say.replaceChildren('Point at a bar to read it.')

  function frame(title, marks, height) {
    const width = panels.firstChild.clientWidth
    const [left, right, top, bottom] = [46, 12, 30, 40]
    const x = v => left + v * (width - left - right)
    const y = v => top + (1 - v) * (height - top - bottom)
    const svg = node('svg', { width, height }, node('text', { x: 0, y: 12 }, title),
      node('text', { x: x(0.5), y: height - 4, 'text-anchor': 'middle' }, 'confidence'))
    for (const [at, text] of marks) {
      svg.append(node('line', { class: 'grid', x1: left, x2: width - right, y1: y(at), y2: y(at) }),
        node('text', { x: left - 8, y: y(at) + 4, 'text-anchor': 'end' }, text))
    }
    for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
      svg.append(node('text', { x: x(tick), y: height - 22, 'text-anchor': tick === 1 ? 'end' : 'middle' }, `${100 * tick} %`))
    }
    const column = (i, kind, low, high) => svg.append(node('rect', { class: kind, x: x(i / bins) + 1, width: x(1 / bins) - x(0) - 2,
      y: y(high), height: Math.max(y(low) - y(high), 0), rx: 1.5, onpointerenter: () => tell(i) }))
    return { svg, x, y, column }
  }

  function tell(i) {
    say.replaceChildren(node('b', {}, show(data.count[i])), ' predictions, on average ', node('b', {}, percent(data.confidence[i])),
      ' sure, are ', node('b', {}, percent(data.accuracy[i])), ' right.')
  }

  function draw() {
    const height = Math.min(panels.firstChild.clientWidth, 400)
    const left = frame('accuracy', [0, 0.25, 0.5, 0.75, 1].map(v => [v, `${100 * v} %`]), height)
    const right = frame('examples', ticks(0, most, 4).map(v => [v / most, show(v)]), height)
    data.count.forEach((count, i) => {
      if (!count) return
      const ends = [data.accuracy[i], data.confidence[i]]
      left.column(i, 'bin', 0, Math.min(...ends))
      left.column(i, 'gap', Math.min(...ends), Math.max(...ends))
      right.column(i, 'mass', 0, count / most)
    })
    left.svg.append(node('line', { class: 'ideal', x1: left.x(0), y1: left.y(0), x2: left.x(1), y2: left.y(1) }))
    panels.children[0].replaceChildren(left.svg)
    panels.children[1].replaceChildren(right.svg)
  }
  panels.addEventListener('pointerleave', rest)
  rest()
  figure.append(panels, say)
  onWidth(figure, draw)
}
