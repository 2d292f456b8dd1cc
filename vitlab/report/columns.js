/**
 * A chart over the whole numbers `first` to `last`: in the column of each stands what the models
 * have there, and pointing at it tells the values below.
 *
 * Its words are `unit` (of the numbers), `titles` (of the axes: up, along) and `label` (of the whole,
 * for those who do not see it). `marks` and `mark` are the ticks of the axis up, of which the last is
 * the top, and how to write one. `height` is the smallest, the largest and a share of the width;
 * `apart` the pixels that a number wants, `every` the distances of those that are written (any), `name`
 * how to write one (itself). draw(model, colour, x, y) gives what is drawn of a model, tell(model, number)
 * a value and what follows it, or nothing.
 */
function columns(figure, models, chart) {
  const { first, last, unit, marks, name = String, height: [least, most, share] } = chart
  const say = node('p', { class: 'say', 'aria-live': 'polite' })
  const plot = node('div', { role: 'img', 'aria-label': chart.label })
  const rest = () => say.replaceChildren(`Point at a ${unit} to read it.`)

  function tell(number) {
    const parts = models.flatMap(model => {
      const [value, more] = chart.tell(model, number) || []
      return value ? [model.name ? ` ${model.name}: ` : ' ', node('b', {}, value), more] : []
    })
    say.replaceChildren(`${unit[0].toUpperCase()}${unit.slice(1)} ${name(number)}:`, ...(parts.length ? parts : [' none.']))
  }

  function draw() {
    const width = plot.clientWidth
    const height = Math.min(most, Math.max(least, width * share))
    const [left, right, top, bottom] = [46, 16, 28, 42]
    const [wide, high] = [width - left - right, height - top - bottom]
    const step = wide / (last - first + 1)
    const x = number => left + (number - first + 0.5) * step
    const y = value => top + (1 - value / marks[marks.length - 1]) * high
    const svg = node('svg', { width, height }, node('text', { x: 0, y: 12 }, chart.titles[0]),
      node('text', { x: left + wide / 2, y: height - 4, 'text-anchor': 'middle' }, chart.titles[1]))
    for (const tick of marks) {
      svg.append(node('line', { class: 'grid', x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
        node('text', { x: left - 8, y: y(tick) + 4, 'text-anchor': 'end' }, chart.mark(tick)))
    }
    const every = (chart.every || []).find(numbers => numbers * step >= chart.apart) || Math.ceil(chart.apart / step)
    for (let number = first; number <= last; number += every) {
      svg.append(node('text', { x: x(number), y: height - 24, 'text-anchor': 'middle' }, name(number)))
    }
    for (const model of models) svg.append(...chart.draw(model, 'c' + model.run % 8, x, y))
    for (let number = first; number <= last; number++) {
      svg.append(node('rect', { class: 'touch', x: x(number) - step / 2, y: top, width: step, height: high, onpointerenter: () => tell(number) }))
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

/** A line through points in pixels, as the `d` of a path. */
const through = points => points.map(([x, y], i) => `${i ? 'L' : 'M'}${x.toFixed(1)},${y.toFixed(1)}`).join('')
