/** Bars: how many pictures have an error of each size, one row of bars a model. */
function errors(figure, rows) {
  for (const { name, shares } of rows) {
    const svg = node('svg', { width: 40 * shares.length, height: 100 })
    shares.forEach((share, i) => svg.append(node('rect', { x: 40 * i, y: 100 - 90 * share, width: 36, height: 90 * share })))
    figure.append(node('p', {}, name), svg)
  }
}
