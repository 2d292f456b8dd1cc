/** Where the query of an answer looks, or the encoder from a place: layers by heads over the picture. */
function queries(figure, { pictures }) {
  const state = { picture: null, answer: 0, place: null, layer: 0, column: 0 }
  const thumbs = node('div', { class: 'thumbs', role: 'group', 'aria-label': 'Pictures' })
  const lens = node('div', { class: 'lens half' })
  const cells = picture => picture.grid[0] * picture.grid[1]
  const words = (layer, column) => `layer ${layer + 1}, ` + (column ? `head ${column}` : 'mean over the heads')

  /** Layers and columns of what is asked, and the first byte of a map. */
  function asked() {
    const { picture, place, answer } = state
    const [layers, columns] = place === null ? picture.decoder : picture.encoder
    const before = place === null ? 0 : picture.answers.length * picture.decoder[0] * picture.decoder[1]
    const who = place === null ? answer : place
    return { layers, columns, start: (layer, column) => (before + (who * layers + layer) * columns + column) * cells(picture) }
  }

  function paint(canvas, start, over) {
    const [rows, columns] = state.picture.grid
    ;[canvas.width, canvas.height] = [columns, rows]
    const context = canvas.getContext('2d')
    const pixels = context.createImageData(columns, rows)
    state.picture.bytes.subarray(start, start + rows * columns).forEach((byte, i) => {
      pixels.data.set([...heat(byte / 255), over ? 40 + 170 * byte / 255 : 255], 4 * i)
    })
    context.putImageData(pixels, 0, 0)
    return canvas
  }

  function choose(picture, thumb) {
    Object.assign(state, { picture, answer: 0, place: null, layer: picture.decoder[0] - 1, column: 0 })
    thumbs.querySelectorAll('button').forEach(b => b.setAttribute('aria-pressed', b === thumb))
    const [down, right] = picture.cover
    const small = picture.small ? { class: 'pixels' } : {}
    const canvas = node('canvas', { ...small, 'aria-hidden': true, style: `width:${100 * right}%;height:${100 * down}%` })
    const svg = node('svg', { 'aria-hidden': true })
    const grid = node('div', { class: 'maps' })
    const caption = node('p', { class: 'say', 'aria-live': 'polite' })
    const said = one => `${one.name} ${one.score.toFixed(2)}`
    const chips = picture.answers.map((one, answer) => node('button', { class: 'chip', type: 'button', onclick: () => set({ answer, place: null }) }, said(one)))

    function set(change) {
      const [layers, columns] = 'place' in change && change.place !== null ? picture.encoder : picture.decoder
      Object.assign(state, change)
      if ('place' in change) Object.assign(state, { layer: Math.min(state.layer, layers - 1), column: Math.min(state.column, columns - 1) })
      show()
    }

    function show() {
      const { layers, columns, start } = asked()
      paint(canvas, start(state.layer, state.column), true)
      const rows = [node('p'), node('div', { class: 'heads' }, node('span', {}, 'mean'), ...(columns > 1 ? [node('span', {}, 'heads')] : []))]
      for (let layer = 0; layer < layers; layer++) {
        const row = node('div', { class: 'heads' })
        for (let column = 0; column < columns; column++) {
          row.append(node('button', { type: 'button', 'aria-label': words(layer, column), title: words(layer, column), style: `aspect-ratio:${picture.grid[1]}/${picture.grid[0]}`,
            'aria-pressed': layer === state.layer && column === state.column, onclick: () => set({ layer, column }) }, paint(node('canvas', { 'aria-hidden': true }), start(layer, column), false)))
        }
        rows.push(node('p', {}, `layer ${layer + 1}`, node('small', {}, picture.grid.join(' × '))), row)
      }
      grid.replaceChildren(...rows)
      chips.forEach((chip, i) => chip.setAttribute('aria-pressed', state.place === null && i === state.answer))
      const who = state.place === null ? ['the query that finds ', node('b', {}, said(picture.answers[state.answer]))] : ['the encoder, at the place in the frame']
      caption.replaceChildren(...who, `: ${words(state.layer, state.column)}.`)
      mark()
    }

    function mark() {
      let box = picture.answers[state.answer].box
      if (state.place !== null) {
        const [y, x] = picture.places[state.place]
        const [high, wide] = [picture.height * down / picture.grid[0], picture.width * right / picture.grid[1]]
        box = [x * wide, y * high, (x + 1) * wide, (y + 1) * high]
      }
      frames(svg, [{ box, kind: state.place === null ? 'said' : 'place' }], svg.parentNode.clientWidth, picture)
    }

    function ask(event) {
      if (!picture.places.length) return
      const box = event.currentTarget.getBoundingClientRect()
      const at = [(event.clientY - box.top) / box.height / down * picture.grid[0], (event.clientX - box.left) / box.width / right * picture.grid[1]]
      const far = ([y, x]) => (y + 0.5 - at[0]) ** 2 + (x + 0.5 - at[1]) ** 2
      set({ place: picture.places.reduce((best, place, i) => far(place) < far(picture.places[best]) ? i : best, 0) })
    }

    const scene = node('div', { class: 'scene', onclick: ask, ...(picture.places.length ? { title: 'Click to see where the encoder looks from there' } : {}) },
      node('img', { src: picture.source, alt: picture.name, width: picture.width, height: picture.height, ...small }), canvas, svg)
    lens.replaceChildren(node('div', {}, scene, caption, node('div', { class: 'overlays' }, ...chips)), grid)
    show()
    state.mark = mark
  }

  pictures.forEach(async (picture, i) => {
    const label = picture.name
    const thumb = node('button', { type: 'button', 'aria-label': label, title: label, disabled: '' }, node('img', { src: picture.source, alt: '' }))
    thumbs.append(thumb)
    picture.bytes = await unpack(picture.maps)
    thumb.disabled = false
    thumb.addEventListener('click', () => choose(picture, thumb))
    if (i === 0) choose(picture, thumb)
  })
  figure.append(thumbs, lens)
  onWidth(figure, () => state.mark && state.mark())
}
