/** Mean attention distance against depth: a dot for each head, a line through the means. */
function distance(figure, models) {
  const most = Math.max(...models.flatMap(model => model.layers.flatMap(layer => layer.pixels)))
  const size = ticks(0, most, 4)[1]
  const mean = values => values.reduce((a, b) => a + b, 0) / values.length
  columns(figure, models, {
    first: 1,
    last: Math.max(...models.map(model => model.layers.length)),
    unit: 'layer',
    titles: ['mean distance, pixels', 'layer'],
    label: 'Mean attention distance by layer: ' + models.map(({ name, layers }) =>
      `${name} from ${show(mean(layers[0].pixels))} to ${show(mean(layers[layers.length - 1].pixels))} pixels`).join('; '),
    marks: ticks(0, Math.ceil(most / size - 1e-9) * size, Math.ceil(most / size - 1e-9)),
    mark: show,
    height: [240, 340, 0.45],
    apart: 24,
    draw({ layers }, colour, x, y) {
      const heads = layers.flatMap(({ pixels }, i) => pixels.map(value =>
        node('circle', { class: 'head ' + colour, r: 4, cx: x(i + 1), cy: y(value) })))
      const line = through(layers.map(({ pixels }, i) => [x(i + 1), y(mean(pixels))]))
      return [...heads, node('path', { class: 'series ' + colour, d: line })]
    },
    tell({ layers }, layer) {
      const pixels = layers[layer - 1]?.pixels
      return pixels && [show(mean(pixels)), ` pixels, heads from ${show(Math.min(...pixels))} to ${show(Math.max(...pixels))}.`]
    },
  })
}
