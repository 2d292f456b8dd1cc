/** The share of right sentences against their length: a line for each run. */
function lengths(figure, models) {
  const every = models.flatMap(model => model.points.map(([length]) => length))
  const end = ([length, share]) => `${percent(share)} at ${length}`
  columns(figure, models, {
    first: Math.min(...every),
    last: Math.max(...every),
    unit: 'length',
    titles: ['right sentences', 'tokens of the source'],
    label: 'Accuracy by length: ' + models.map(({ name, points }) =>
      `${name} ${end(points[0])}, ${end(points[points.length - 1])}`).join('; '),
    marks: [0, 0.25, 0.5, 0.75, 1],
    mark: tick => `${100 * tick} %`,
    height: [230, 320, 0.4],
    apart: 28,
    draw({ points }, colour, x, y) {
      const places = points.map(([length, share]) => [x(length), y(share)])
      return [node('path', { class: 'series ' + colour, d: through(places) }),
        ...places.map(([cx, cy]) => node('circle', { class: 'dot ' + colour, r: 4, cx, cy }))]
    },
    tell({ points }, length) {
      const found = points.find(point => point[0] === length)
      return found && [percent(found[1]), ` of ${show(found[2])}.`]
    },
  })
}
