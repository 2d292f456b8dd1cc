/**
 * The loss against how much has been read, in columns that double: a line for each model, of points
 * [first, last, loss, tokens]; and level lines for what counting reaches.
 */
function places(figure, { models, lines }) {
  const longest = models.map(model => model.points).reduce((a, b) => b.length > a.length ? b : a)
  const values = [...models.flatMap(model => model.points.map(point => point[2])), ...lines.map(line => line.value)]
  const most = Math.max(...values.filter(value => value !== null), 1)
  const size = tickStep(0, most, 4)
  const count = Math.ceil(most / size - 1e-9)
  const name = number => longest[number - 1][0] === longest[number - 1][1] ? String(longest[number - 1][1]) : longest[number - 1].slice(0, 2).join('–')
  const end = ({ points }) => `${show(points[0][2])} after ${points[0][1]}, ${show(points[points.length - 1][2])} after ${points[points.length - 1][1]}`
  columns(figure, models, {
    first: 1,
    last: longest.length,
    unit: 'place',
    titles: ['nats per token', 'tokens read'],
    label: 'Loss by tokens read: ' + models.map(model => [model.name, end(model)].filter(Boolean).join(' ')).join('; ') + lines.map(line => `; ${line.name} ${show(line.value)}`).join(''),
    marks: ticks(0, count * size, count),
    mark: show,
    name,
    height: [240, 340, 0.42],
    apart: 64,
    draw(model, colour, x, y) {
      const known = model.points.map(([, , loss], i) => [i, loss]).filter(([, loss]) => loss !== null)
      const at = known.map(([i, loss]) => [x(i + 1), y(loss)])
      const [left, right] = [x(0.5), x(longest.length + 0.5)]
      const levels = model === models[0] ? lines.flatMap(line => [
        node('line', { class: 'ideal', x1: left, x2: right, y1: y(line.value), y2: y(line.value) }),
        node('text', { x: right, y: y(line.value) - 5, 'text-anchor': 'end' }, `${line.name} ${line.value.toFixed(2)}`)]) : []
      return [...levels, node('path', { class: 'series ' + colour, d: through(at) }),
        ...at.map(([cx, cy]) => node('circle', { class: 'dot ' + colour, r: 4, cx, cy }))]
    },
    tell({ points }, number) {
      const point = points[number - 1]
      return point && [show(point[2]), ` nats, ${show(point[3])} tokens.`]
    },
  })
}
