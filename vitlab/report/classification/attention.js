/** Where in the bytes the maps of each layer and the overlays begin. */
function index(image) {
  let start = 0
  const take = (count, [rows, columns]) => (start += count * rows * columns) - count * rows * columns
  for (const layer of image.layers) {
    layer.start = take(layer.columns, layer.grid)
    layer.queries = take(layer.asked.length * layer.by_query, layer.grid)
  }
  image.starts = Object.fromEntries(Object.entries(image.overlays).map(([name, grid]) => [name, take(1, grid)]))
}

/** Layers by heads of one image; the map that is chosen lies over the image. */
function attention(figure, { images, reads }) {
  const thumbs = node('div', { class: 'thumbs', role: 'group', 'aria-label': 'Images' })
  const lens = node('div', { class: 'lens' })
  const state = { image: null, layer: 0, column: 0, overlay: null, query: null }

  function paint(canvas, start, [rows, columns], see) {
    ;[canvas.width, canvas.height] = [columns, rows]
    const context = canvas.getContext('2d')
    const pixels = context.createImageData(columns, rows)
    state.image.bytes.subarray(start, start + rows * columns).forEach((byte, i) => {
      pixels.data.set([...heat(byte / 255), see ? 40 + 150 * byte / 255 : 255], 4 * i)
    })
    context.putImageData(pixels, 0, 0)
    return canvas
  }

  /** Index of the query of a layer that is nearest to the point that was clicked. */
  function nearestQuery(layer) {
    const [rows, columns] = layer.grid
    const far = ([y, x]) => ((y + 0.5) / rows - state.query[0]) ** 2 + ((x + 0.5) / columns - state.query[1]) ** 2
    return layer.asked.reduce((best, cell, i) => far(cell) < far(layer.asked[best]) ? i : best, 0)
  }
  /** First byte of a map, or null where a query keeps no map of that head. */
  function startOf(layer, column) {
    const size = layer.grid[0] * layer.grid[1]
    if (!state.query) return layer.start + column * size
    if (column >= layer.by_query) return null
    return layer.queries + (nearestQuery(layer) * layer.by_query + column) * size
  }
  const words = (layer, column) => `${layer.name}, ` + (column ? `head ${column}` : 'mean over the heads')

  function choose(image, thumb) {
    state.image = image
    thumbs.querySelectorAll('button').forEach(b => b.setAttribute('aria-pressed', b === thumb))
    const small = Math.max(image.width, image.height) <= 64 ? { class: 'pixels' } : {}
    const canvas = node('canvas', { ...small, 'aria-hidden': true })
    const lines = node('svg', { preserveAspectRatio: 'none', 'aria-hidden': true })
    const caption = node('p', { class: 'say', 'aria-live': 'polite' })
    const tiles = []
    const chips = []

    function show() {
      const layer = image.layers[state.layer]
      const column = startOf(layer, state.column) === null ? 0 : state.column  // queries may keep the mean alone
      const grid = state.overlay ? image.overlays[state.overlay] : layer.grid
      const start = state.overlay ? image.starts[state.overlay] : startOf(layer, column)
      paint(canvas, start, grid, true)
      for (const tile of tiles) {
        const at = startOf(tile.layer, tile.column)
        tile.button.disabled = at === null
        if (at !== null) paint(tile.canvas, at, tile.layer.grid, false)
        tile.button.setAttribute('aria-pressed', !state.overlay && tile.layer === layer && tile.column === column)
      }
      chips.forEach(([chip, on]) => chip.setAttribute('aria-pressed', on()))
      mark(state.overlay ? null : layer)
      const sure = ` (${percent(image.confidence)} sure): `
      const said = image.truth === null ? ['looks like '] : image.right ? ['recognised as '] : ['is ', node('b', {}, image.truth), ', said ']
      const what = state.overlay ? { rollout: 'rollout through all layers', saliency: 'input × gradient', occlusion: 'fall of the probability when a patch is covered' }[state.overlay]
        : words(layer, column) + ', ' + (state.query ? 'the patch in the frame' : layer.name.startsWith('inner') ? 'the average pixel' : reads)
      caption.replaceChildren(...said, node('b', {}, image.said), sure, what)
    }
    /** Borders of the windows, and a frame around the query. */
    function mark(layer) {
      lines.replaceChildren()
      if (!layer) return
      const [rows, columns] = layer.grid
      lines.setAttribute('viewBox', `0 0 ${columns} ${rows}`)
      let path = ''
      for (let y = layer.shift || layer.window; layer.window && y < rows; y += layer.window) path += `M0 ${y}H${columns}`
      for (let x = layer.shift || layer.window; layer.window && x < columns; x += layer.window) path += `M${x} 0V${rows}`
      lines.append(node('path', { class: 'under', d: path }), node('path', { d: path }))
      if (state.query) {
        const [y, x] = layer.asked[nearestQuery(layer)]
        const frame = { x, y, width: 1, height: 1 }
        lines.append(node('rect', { class: 'under', ...frame }), node('rect', frame))
      }
    }
    function set(change) {
      Object.assign(state, change)
      show()
    }
    function ask(event) {
      const box = event.currentTarget.getBoundingClientRect()
      set({ query: [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width], overlay: null })
    }
    function chip(text, change, on) {
      const made = node('button', { class: 'chip', type: 'button', onclick: () => set(change) }, text)
      chips.push([made, on])
      return made
    }

    const titles = node('div', { class: 'heads' }, node('span', {}, 'mean'), ...(image.layers[0].columns > 1 ? [node('span', {}, 'heads')] : []))
    const grid = node('div', { class: 'maps' }, node('p'), titles)
    image.layers.forEach((layer, i) => {
      const row = node('div', { class: 'heads' })
      for (let column = 0; column < layer.columns; column++) {
        const map = node('canvas', { 'aria-hidden': true })
        const pick = () => set({ layer: i, column, overlay: null })
        const button = node('button', { type: 'button', 'aria-label': words(layer, column), title: words(layer, column), onclick: pick, onfocus: pick,
          style: `aspect-ratio:${layer.grid[1]}/${layer.grid[0]}` }, map)
        tiles.push({ layer, column, canvas: map, button })
        row.append(button)
      }
      const size = layer.grid.join(' × ') + (layer.window && !layer.name.startsWith('inner') ? layer.shift ? ', shifted' : ', windows' : '')
      grid.append(node('p', {}, layer.name, node('small', {}, size)), row)
    })
    const scene = node('div', { class: 'scene', onclick: ask, title: 'Click to see where this patch looks' },
      node('img', { ...small, src: image.source, alt: `image ${image.index}`, width: image.width, height: image.height }), canvas, lines)
    const controls = node('div', { class: 'overlays' },
      ...Object.keys(image.overlays).map(name => chip(name, { overlay: name }, () => state.overlay === name)),
      chip(reads, { query: null, overlay: null }, () => !state.query && !state.overlay))
    lens.replaceChildren(node('div', { class: 'view' }, scene, caption, controls), grid)
    show()
  }

  state.overlay = Object.keys(images[0].overlays)[0]
  images.forEach(async (image, i) => {
    const label = (image.truth === null ? image.said : image.truth) + (image.truth === null ? '' : image.right ? ', recognised' : ', taken for ' + image.said)
    const thumb = node('button', { type: 'button', 'aria-label': label, title: label, disabled: '' },
      node('img', { src: image.source, alt: '', ...(image.width <= 64 ? { class: 'pixels' } : {}) }))
    thumbs.append(thumb)
    index(image)
    image.bytes = await unpack(image.maps)
    thumb.disabled = false
    thumb.addEventListener('click', () => choose(image, thumb))
    if (i === 0) choose(image, thumb)
  })
  figure.append(thumbs, lens)
}
