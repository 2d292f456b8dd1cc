const WORDS = 12  // pixels of a label

const sides = ([left, top, right, bottom]) => ({ x: left, y: top, width: Math.max(right - left, 0), height: Math.max(bottom - top, 0) })

function common(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0])
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1])
  return width > 0 && height > 0 ? width * height : 0
}

const area = box => (box[2] - box[0]) * (box[3] - box[1])
const iou = (a, b) => common(a, b) / (area(a) + area(b) - common(a, b)) || 0

/**
 * What becomes of the objects of a picture and of what is found from a score on: as in the evaluation,
 * pairs overlap by half, those of one class come first. `of` is what an object is found as, null if it
 * is missed; `nothing` what is found where no object is that counts.
 */
function judge({ truth, found }, score) {
  const sure = found.filter(one => one.score >= score)
  const pairs = truth.flatMap(object => object.free ? [] : sure.map(one => ({ object, one, same: object.of === one.of, share: iou(object.box, one.box) })))
    .filter(pair => pair.share >= 0.5).sort((a, b) => b.same - a.same || b.share - a.share)
  const partner = new Map()
  for (const { object, one } of pairs) {
    if (!partner.has(object) && !partner.has(one)) partner.set(object, one).set(one, object)
  }
  // of a box on a crowd, the half must lie in it
  const share = (object, { box }) => object.crowd ? common(object.box, box) / area(box) : iou(object.box, box)
  const free = one => truth.some(object => object.free && share(object, one) >= 0.5)
  return { sure, partner, nothing: sure.filter(one => !partner.has(one) && !free(one)) }
}

/** Frames over a picture in a scene of `width` pixels, and such labels as find room. */
function frames(svg, rows, width, picture) {
  const scale = width / picture.width
  const height = picture.height * scale
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`)
  const scaled = rows.map(row => ({ ...row, box: row.box.map(value => value * scale) }))
  const taken = []
  const labels = []
  for (const { box, kind, label } of scaled.filter(row => row.label)) {
    const wide = 0.62 * WORDS * label.length + 6
    const high = WORDS + 5
    const x = Math.max(0, Math.min(box[0], width - wide))
    const place = [box[1] - high, box[3], box[1]].map(y => [x, y, x + wide, y + high])
      .find(place => place[1] >= 0 && place[3] <= height && !taken.some(other => iou(place, other) > 0))
    if (!place) continue
    taken.push(place)
    labels.push(node('g', { class: kind }, node('rect', { class: 'plate', ...sides(place) }), node('text', { x: x + 3, y: place[3] - 4 }, label)))
  }
  svg.replaceChildren(...scaled.flatMap(({ box, kind }) => [node('rect', { class: 'under', ...sides(box) }), node('rect', { class: kind, ...sides(box) })]), ...labels)
}

/** Pictures with what there is and what is found from a score on, which can be moved. */
function boxes(figure, { names, score, pictures }) {
  const state = { picture: pictures[0], score, pointed: null, hidden: new Set() }
  const thumbs = node('div', { class: 'thumbs', role: 'group', 'aria-label': 'Pictures' })
  const svg = node('svg', { 'aria-hidden': true })
  const scene = node('div', { class: 'scene' })
  const list = node('ul', { class: 'objects', tabindex: 0, 'aria-label': 'Objects' })
  const caption = node('p', { class: 'say', 'aria-live': 'polite' })
  const told = node('b', {}, score.toFixed(2))
  const slider = node('input', { type: 'range', min: 0.01, max: 0.99, step: 0.01, value: score, 'aria-label': 'score', oninput: () => {
    state.score = Number(slider.value)
    told.textContent = state.score.toFixed(2)
    show()
  } })
  const sure = one => `${names[one.of]} ${one.score.toFixed(2)}`
  const pictured = picture => picture.source
    ? node('img', { src: picture.source, alt: '', width: picture.width, height: picture.height, ...(picture.small ? { class: 'pixels' } : {}) })
    : node('div', { class: 'blank', style: `aspect-ratio:${picture.width}/${picture.height}` })

  function draw() {
    const { truth } = state.picture
    const { sure: found } = judge(state.picture, state.score)
    const only = (row, kind) => state.pointed ? state.pointed.includes(row) : !state.hidden.has(kind)
    const label = row => !state.pointed && truth.length + found.length > 60 ? '' : row.score === undefined ? names[row.of] : sure(row)
    const rows = [...truth.filter(row => only(row, 'truth')).map(row => [row, row.free ? 'truth free' : 'truth']),
      ...found.filter(row => only(row, 'said')).map(row => [row, 'said'])]
    frames(svg, rows.map(([row, kind]) => ({ box: row.box, kind, label: label(row) })), scene.clientWidth, state.picture)
  }

  function show() {
    const { truth } = state.picture
    const { sure: found, partner, nothing } = judge(state.picture, state.score)
    state.pointed = null
    const row = (right, members, ...words) => {
      const point = () => { state.pointed = members; draw() }
      const leave = () => { state.pointed = null; draw() }
      return node('li', { class: right ? '' : 'wrong', tabindex: 0, onpointerenter: point, onpointerleave: leave, onfocus: point, onblur: leave }, ...words)
    }
    const told = truth.map(object => {
      const one = partner.get(object)
      if (object.free) return [3, row(true, [object], names[object.of], ' need not be found')]
      if (!one) return [0, row(false, [object], node('b', {}, names[object.of]), ' is missed')]
      const right = one.of === object.of
      return [right ? 2 : 1, row(right, [object, one], node('b', {}, names[object.of]), right ? ` is found, ${one.score.toFixed(2)}` : ' is taken for ', right ? '' : node('b', {}, sure(one)))]
    })
    told.push(...nothing.map(one => [1, row(false, [one], node('b', {}, sure(one)), ' where nothing is')]))
    list.replaceChildren(...told.sort(([a], [b]) => a - b).map(([, made]) => made))
    const objects = truth.filter(object => !object.free)
    const right = objects.filter(object => partner.has(object) && partner.get(object).of === object.of).length
    caption.replaceChildren(`Picture ${state.picture.index}: `, node('b', {}, String(right)), ` of ${objects.length} objects found, ${found.length} boxes.`)
    draw()
  }

  function choose(picture, thumb) {
    state.picture = picture
    thumbs.querySelectorAll('button').forEach(b => b.setAttribute('aria-pressed', b === thumb))
    scene.replaceChildren(pictured(picture), svg)
    show()
  }

  pictures.forEach((picture, i) => {
    const label = `picture ${picture.index}`
    const thumb = node('button', { type: 'button', 'aria-label': label, title: label, 'aria-pressed': false, onclick: () => choose(picture, thumb) }, pictured(picture))
    thumbs.append(thumb)
    if (i === 0) choose(picture, thumb)
  })
  function key(kind, text) {
    const chip = node('button', { class: 'chip', type: 'button', 'aria-pressed': true, onclick: () => {
      state.hidden.has(kind) ? state.hidden.delete(kind) : state.hidden.add(kind)
      chip.setAttribute('aria-pressed', !state.hidden.has(kind))
      draw()
    } }, node('i', { class: 'key ' + kind }), text)
    return chip
  }
  const controls = node('div', { class: 'controls' }, key('truth', 'what there is'), key('said', 'what is found'),
    node('label', {}, 'from a score of ', told, slider, ' on'))
  figure.append(thumbs, controls, node('div', { class: 'lens even' }, node('div', {}, scene, caption), list))
  onWidth(figure, draw)
}
