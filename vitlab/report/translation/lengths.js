/**
 * What is said well against the length of the source: a line for each run. Points are [length, value,
 * sentences]; of `accuracy` values are shares of right sentences, of `bleu` those of all sentences of
 * `width` lengths that end there.
 */
function lengths(figure, { kind, width, models }) {
  const bleu = kind === 'bleu'
  const every = models.flatMap(model => model.points)
  const column = length => length / width
  const value = ([, found]) => bleu ? found.toFixed(1) : percent(found)
  const name = number => width > 1 ? `${width * (number - 1) + 1}–${width * number}` : String(number)
  const end = point => `${value(point)} at ${name(column(point[0]))}`
  const most = bleu ? 20 * Math.max(1, Math.ceil(Math.max(...every.map(point => point[1])) / 20)) : 1
  columns(figure, models, {
    first: Math.min(...every.map(point => column(point[0]))),
    last: Math.max(...every.map(point => column(point[0]))),
    unit: 'length',
    titles: [bleu ? 'BLEU' : 'right sentences', 'tokens of the source'],
    label: `${bleu ? 'BLEU' : 'Accuracy'} by length: ` + models.map(({ name, points }) =>
      `${name} ${end(points[0])}, ${end(points[points.length - 1])}`).join('; '),
    marks: bleu ? Array.from({ length: most / 20 + 1 }, (_, i) => 20 * i) : [0, 0.25, 0.5, 0.75, 1],
    mark: tick => bleu ? String(tick) : `${100 * tick} %`,
    name,
    height: [230, 320, 0.4],
    apart: width > 1 ? 52 : 28,
    draw({ points }, colour, x, y) {
      const places = points.map(([length, found]) => [x(column(length)), y(found)])
      return [node('path', { class: 'series ' + colour, d: through(places) }),
        ...places.map(([cx, cy]) => node('circle', { class: 'dot ' + colour, r: 4, cx, cy }))]
    },
    tell({ points }, number) {
      const found = points.find(point => column(point[0]) === number)
      return found && [value(found), bleu ? `, ${show(found[2])} sentences.` : ` of ${show(found[2])}.`]
    },
  })
}
