/** Precision against recall, in panels of lines with a point for each hundredth of the recall. */
function precision(figure, { panels }) {
  const reached = ({ points }) => points.map((value, recall) => [recall, value]).filter(([, value]) => value)
  const boxes = panels.map(({ title, lines }) => {
    const inner = node('div')
    const models = lines.map(line => ({ ...line, name: lines.length > 1 || line.name !== 'all' ? line.name : '' }))
    return { inner, models, box: node('div', {}, ...(title ? [node('h3', {}, title)] : []), inner) }
  })
  figure.append(node('div', { class: 'panels' }, ...boxes.map(({ box }) => box)))
  for (const { inner, models } of boxes) {
    columns(inner, models, {
      first: 0,
      last: 100,
      unit: 'recall',
      titles: ['precision', 'recall'],
      label: 'Precision by recall: ' + models.map(({ name, ap }) => `${name || 'all'}, AP ${percent(ap)}`).join('; '),
      marks: [0, 0.25, 0.5, 0.75, 1],
      mark: tick => `${100 * tick} %`,
      name: recall => `${recall} %`,
      height: [230, 360, 0.7],
      apart: 44,
      every: [10, 20, 25, 50],
      draw: (line, colour, x, y) => [node('path', { class: 'series ' + colour, d: through(reached(line).map(([recall, value]) => [x(recall), y(value)])) })],
      tell({ points, scores }, recall) {
        return points[recall] ? [percent(points[recall]), scores ? ` from a score of ${show(scores[recall])} on.` : '.'] : null
      },
    })
  }
}
