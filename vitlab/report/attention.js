const HEAT = [[5, 4, 24], [59, 15, 112], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 253, 191]]

function heat(share) {
  const at = share * (HEAT.length - 1)
  const low = Math.min(HEAT.length - 2, Math.floor(at))
  return HEAT[low].map((value, i) => value + (at - low) * (HEAT[low + 1][i] - value))
}

/** Layers by heads of one image; the one that is chosen lies over the image. */
function attention(figure, images) {
  const thumbs = node('div', { class: 'thumbs', role: 'group', 'aria-label': 'Test images' })
  const lens = node('div', { class: 'lens' })

  function paint(canvas, image, map, see) {
    const [rows, columns] = image.grid
    ;[canvas.width, canvas.height] = [columns, rows]
    const context = canvas.getContext('2d')
    const pixels = context.createImageData(columns, rows)
    image.bytes.subarray(map * rows * columns, (map + 1) * rows * columns).forEach((byte, i) => {
      pixels.data.set([...heat(byte / 255), see ? 40 + 150 * byte / 255 : 255], 4 * i)
    })
    context.putImageData(pixels, 0, 0)
    return canvas
  }

  function choose(image, thumb) {
    thumbs.querySelectorAll('button').forEach(b => b.setAttribute('aria-pressed', b === thumb))
    const small = Math.max(image.width, image.height) <= 64 ? { class: 'pixels' } : {}
    const overlay = node('canvas', { ...small, 'aria-hidden': true })
    const caption = node('p', { class: 'say' })
    const last = image.depth * image.columns
    const grid = node('div', { class: 'maps', style: `grid-template-columns:44px repeat(${image.columns}, minmax(30px, 84px))` })
    const words = map => map === last ? 'rollout through all layers'
      : `layer ${Math.floor(map / image.columns) + 1}, ` + (map % image.columns ? `head ${map % image.columns}` : 'mean over the heads')

    function select(map, button) {
      paint(overlay, image, map, true)
      lens.querySelectorAll('[data-map]').forEach(b => b.setAttribute('aria-pressed', b === button))
      caption.replaceChildren(...(image.right ? ['recognised as ', node('b', {}, image.said)] : ['said ', node('b', {}, image.said), ', is ', node('b', {}, image.truth)]),
        ` (${percent(image.confidence)} sure): ${words(map)}`)
    }
    function cell(map, ...content) {
      const pick = event => select(map, event.currentTarget)
      return node('button', { type: 'button', 'data-map': map, 'aria-label': words(map), onclick: pick, onpointerenter: pick, onfocus: pick }, ...content)
    }

    const heads = image.columns - 1
    grid.append(node('span', {}, 'layer'), node('span', {}, 'mean'), ...Array.from({ length: heads }, (_, i) => node('span', {}, heads > 8 ? String(i + 1) : `head ${i + 1}`)))
    for (let layer = 0; layer < image.depth; layer++) {
      grid.append(node('span', {}, String(layer + 1)))
      for (let column = 0; column < image.columns; column++) {
        const map = layer * image.columns + column
        grid.append(cell(map, paint(node('canvas', { 'aria-hidden': true }), image, map, false)))
      }
    }
    const rollout = cell(last, 'rollout')
    rollout.className = 'chip'
    const scene = node('div', { class: 'scene' }, node('img', { ...small, src: image.source, alt: `test image ${image.index}`, width: image.width, height: image.height }), overlay)
    lens.replaceChildren(node('div', { class: 'view' }, scene, caption, rollout), grid)
    select(last, rollout)
  }

  images.forEach((image, i) => {
    image.bytes = Uint8Array.from(atob(image.maps), letter => letter.charCodeAt(0))
    const label = `${image.truth}, ${image.right ? 'recognised' : 'taken for ' + image.said}`
    const thumb = node('button', { type: 'button', 'aria-label': label, title: label, onclick: () => choose(image, thumb) },
      node('img', { src: image.source, alt: '', ...(image.width <= 64 ? { class: 'pixels' } : {}) }))
    thumbs.append(thumb)
    if (i === 0) choose(image, thumb)
  })
  figure.append(thumbs, lens)
}
