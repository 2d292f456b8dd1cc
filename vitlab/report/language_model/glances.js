/**
 * A text in which pointing at a token colours those that a head looks at from there; below it a small
 * map of every head to choose from. `weights` are bytes, of every head row t up to place t.
 */
function glances(figure, { pieces, layers, heads, names, start, weights }) {
  const bytes = Uint8Array.from(atob(weights), letter => letter.charCodeAt(0))
  const count = pieces.length
  const state = { layer: start[0], head: start[1], token: Math.floor(0.7 * (count - 1)) }
  while (state.token && !pieces[state.token].trim()) state.token--  // what is asked first can be seen
  const row = (layer, head, t) => {
    const from = (layer * heads + head) * count * (count + 1) / 2 + t * (t + 1) / 2
    return bytes.subarray(from, from + t + 1)
  }
  const title = (layer, head) => `layer ${layer + 1}, head ${head + 1}` + (names[layer][head] && ` (${names[layer][head]})`)
  const written = text => text.replaceAll('\n', '↵').replaceAll(' ', '␣')

  const tokens = pieces.map((text, t) => node('button', {
    type: 'button', tabindex: -1, class: /^\s+$/.test(text) ? 'blank' : '', 'aria-label': `token ${t + 1}: ${written(text)}`,
    onpointerenter: () => look(t), onclick: () => look(t), onfocus: () => look(t),
  }, text.replaceAll('\n', '↵')))
  const lines = [node('div')]
  tokens.forEach((token, t) => {
    lines[lines.length - 1].append(token)
    if (pieces[t].includes('\n')) lines.push(node('div'))
  })
  const text = node('div', { class: 'tokens', role: 'group', 'aria-label': 'The text, token by token' }, ...lines)
  text.addEventListener('keydown', event => {
    const to = { ArrowLeft: state.token - 1, ArrowRight: state.token + 1, Home: 0, End: count - 1 }[event.key]
    if (to === undefined) return
    event.preventDefault()
    tokens[Math.min(count - 1, Math.max(0, to))].focus()
  })
  const say = node('p', { class: 'say', 'aria-live': 'polite' })

  /** Darkest is what has most of the attention from here: a share alone would be pale in long texts. */
  function paint() {
    const found = row(state.layer, state.head, state.token)
    const most = Math.max(1, ...found)
    tokens.forEach((token, t) => {
      token.style.setProperty('--share', t <= state.token ? `${(100 * found[t] / most).toFixed(0)}%` : '0%')
      token.classList.toggle('asks', t === state.token)
      token.classList.toggle('later', t > state.token)
      token.tabIndex = t === state.token ? 0 : -1
    })
    const best = [...found.keys()].sort((a, b) => found[b] - found[a]).slice(0, 3).filter(t => found[t])
    const told = best.flatMap((t, i) => [i ? ', ' : ' ', node('b', {}, written(pieces[t])), ` ${percent(found[t] / 255)}`])
    say.replaceChildren(`${title(state.layer, state.head)}, from `, node('b', {}, written(pieces[state.token])), ':', ...told)
  }

  function look(token) {
    state.token = token
    paint()
  }

  function small(layer, head) {
    const canvas = node('canvas', { width: count, height: count })
    const context = canvas.getContext('2d')
    const pixels = context.createImageData(count, count)
    for (let t = 0; t < count; t++) {
      const found = row(layer, head, t)
      for (let s = 0; s < count; s++) pixels.data.set(mixed(s <= t ? Math.sqrt(found[s] / 255) : 0), 4 * (t * count + s))
    }
    context.putImageData(pixels, 0, 0)
    return canvas
  }
  // From the dark end of the maps of every page to their light one.
  const stops = [[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]]
  function mixed(share) {
    const at = share * (stops.length - 1), low = Math.min(stops.length - 2, Math.floor(at))
    return [...stops[low].map((value, i) => value + (at - low) * (stops[low + 1][i] - value)), 255]
  }

  const maps = node('div', { class: 'maps', role: 'group', 'aria-label': 'Heads by layer' })
  const buttons = []
  for (let layer = 0; layer < layers; layer++) {
    const found = Array.from({ length: heads }, (_, head) => {
      const button = node('button', { type: 'button', title: title(layer, head), 'aria-label': title(layer, head), onclick: () => choose(layer, head) }, small(layer, head))
      buttons.push(button)
      return button
    })
    maps.append(node('p', {}, `layer ${layer + 1}`), node('div', { class: 'heads even' }, ...found))
  }
  function choose(layer, head) {
    Object.assign(state, { layer, head })
    buttons.forEach((button, i) => button.setAttribute('aria-pressed', String(i === layer * heads + head)))
    paint()
  }
  figure.append(text, say, maps)
  choose(state.layer, state.head)
}
