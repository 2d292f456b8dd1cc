/**
 * The trials of a sweep, best first and known by their place, and what the reader does with them: one
 * state for all figures. Whatever stands for a trial carries its place as data-trial.
 */
const study = { axes: [], trials: [], means: [], pointed: null, chosen: null, isIn: () => true }

/** Takes the data of the page, and makes what belongs to no figure: what names a trial, and sorting. */
function sweep(figure, data) {
  Object.assign(study, data)
  study.tip = node('div', { class: 'tip', hidden: '' })
  study.bar = node('aside', { class: 'picked', hidden: '', 'aria-live': 'polite', 'aria-label': 'The trial that is followed' })
  document.body.append(study.tip, study.bar)
  document.addEventListener('keydown', event => { if (event.key === 'Escape') choose(null) })
  for (const command of document.querySelectorAll('.command')) command.before(copier(command.textContent))
  document.querySelectorAll('main table').forEach(sortable)
}

/** A button that copies a text, or where that is not allowed shows it to be copied by hand. */
function copier(text) {
  const button = node('button', { class: 'chip copy', type: 'button', onclick: async () => {
    try {
      await navigator.clipboard.writeText(text)
      button.textContent = 'copied'
    } catch {
      prompt('The command', text)
    }
    setTimeout(() => { button.textContent = 'copy the command' }, 1500)
  } }, 'copy the command')
  return button
}

/** The name of a trial, and what it reached. */
function title({ trial, state, said }) {
  return [node('b', {}, `trial ${trial}`), ...(said === null ? [] : [' ', node('b', { class: 'reached' }, said)]), ...(state === 'finished' ? [] : [` ${state}`])]
}

const point = ({ texts }) => node('dl', { class: 'point' }, ...texts.map((text, k) =>
  node('div', {}, node('dt', {}, study.axes[k].name), node('dd', {}, text))))

/** Points at a trial or at none; its name stands beside the pointer. */
function pointAt(place, event) {
  if (place !== study.pointed) {
    study.pointed = place
    if (place !== null) study.tip.replaceChildren(...title(study.trials[place]), point(study.trials[place]))
    mark()
  }
  study.tip.hidden = place === null
  if (place === null) return
  const { offsetWidth: wide, offsetHeight: high } = study.tip
  const left = event.clientX + 16 + wide > innerWidth - 8 ? event.clientX - 16 - wide : event.clientX + 16
  study.tip.style.left = `${Math.min(Math.max(8, left), Math.max(8, innerWidth - wide - 8))}px`
  study.tip.style.top = `${Math.max(8, Math.min(event.clientY + 16, innerHeight - high - 8))}px`
}

/** Follows a trial through the page; the same one again, or none, lets it go. */
function choose(place) {
  study.chosen = place === study.chosen ? null : place
  study.bar.hidden = study.chosen === null
  if (study.chosen !== null) {
    const trial = study.trials[study.chosen]
    study.bar.replaceChildren(node('p', {}, ...title(trial)), point(trial), node('div', { class: 'do' },
      ...(trial.command ? [copier(trial.command)] : []),
      ...(trial.report ? [node('a', { class: 'chip', href: trial.report }, 'report')] : []),
      node('button', { class: 'chip', type: 'button', 'aria-label': 'Let the trial go', onclick: () => choose(null) }, '×')))
  }
  mark()
}

/** Draws the trials that are pointed at and chosen once more above the others, and fades what is brushed out. */
function mark() {
  const places = [...new Set([study.chosen, study.pointed])].filter(place => place !== null)
  for (const above of document.querySelectorAll('.above')) {
    above.replaceChildren()
    above.append(...places.flatMap(place => [...above.parentNode.querySelectorAll(`[data-trial="${place}"]`)].map(e => e.cloneNode())))
  }
  for (const made of document.querySelectorAll('[data-trial]:not(button)')) {
    const place = Number(made.dataset.trial)
    made.classList.toggle('out', !study.isIn(place) && !places.includes(place))
    if (made.tagName === 'TR') made.classList.toggle('on', places.includes(place))
  }
}

/** Lets a plot tell its trials: find(x, y) is the place of the one there, or null. */
function track(plot, find) {
  const at = event => {
    const box = plot.getBoundingClientRect()
    return find(event.clientX - box.left + plot.scrollLeft, event.clientY - box.top)
  }
  plot.addEventListener('pointermove', event => pointAt(at(event), event))
  plot.addEventListener('pointerleave', () => pointAt(null))
  plot.addEventListener('click', event => {
    const place = at(event)
    if (place !== null) choose(place)
  })
  plot.addEventListener('keydown', event => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
    if (!move) return
    event.preventDefault()
    const next = (study.chosen ?? -1) + move
    if (next >= 0 && next < study.trials.length) choose(next)
  })
}

/** The line that passes nearest to a point, within 16 pixels; lines are [place, points from left to right]. */
function nearestLine(lines, x, y) {
  let [found, least] = [null, 16]
  for (const [place, points] of lines) {
    if (!study.isIn(place)) continue
    const at = Math.min(Math.max(x, points[0][0]), points[points.length - 1][0])
    const right = points.findIndex(one => one[0] >= at)
    const [a, b] = [points[Math.max(0, right - 1)], points[right]]
    const share = b[0] > a[0] ? (at - a[0]) / (b[0] - a[0]) : 1
    const distance = Math.hypot(x - at, a[1] + share * (b[1] - a[1]) - y)
    if (distance < least) [found, least] = [place, distance]
  }
  return found
}

/** From a value of an axis to the pixels between `from` and `to`; no value lies at `none`. */
function placer({ log, categories }, values, [from, to], none) {
  const forward = log ? Math.log10 : v => v
  const finite = values.filter(v => v !== null).map(forward)
  const [low, high] = categories ? [-0.5, categories.length - 0.5] : [Math.min(...finite), Math.max(...finite)]
  return v => v === null ? none : low < high ? from + (forward(v) - low) / (high - low) * (to - from) : (from + to) / 2
}

/** Ticks of an axis, [value, text], `apart` pixels or more: its very values where they are few. */
function marks({ log, categories }, values, place, apart) {
  const distinct = [...new Set(values.filter(v => v !== null))].sort((a, b) => a - b)
  const [low, high] = [distinct[0], distinct[distinct.length - 1]]
  const wanted = categories ? categories.map((_, i) => i)
    : distinct.length < 9 ? distinct
      : log ? logTicks(low, high, high / low < 1e3 ? [1, 2, 5] : [1])
        : ticks(low, high, Math.abs(place(high) - place(low)) / (2 * apart))
  const taken = []
  for (const value of wanted) {
    if (taken.every(other => Math.abs(place(other) - place(value)) >= apart)) taken.push(value)
  }
  return taken.map(value => [value, categories ? categories[value] : show(value).replace('.0e', 'e')])
}

/** A text cut to about `room` pixels; all of it shows where it is pointed at. */
function fitted(text, room, attributes) {
  const most = Math.max(3, Math.floor(room / 6.3))
  const cut = text.length > most ? text.slice(0, most - 1) + '…' : text
  return node('text', attributes, cut, ...(cut === text ? [] : [node('title', {}, text)]))
}

/** Attributes of what stands for a trial; its colour says how good it is among the others. */
function looks(place, kind = '') {
  const { rank, state } = study.trials[place]
  const colour = rank === null ? 'var(--c7)' : `color-mix(in oklch increasing hue, var(--c5), var(--accent) ${(100 * rank).toFixed(1)}%)`
  return { class: `trial ${rank === null ? 'none' : ''} ${state === 'finished' ? '' : 'open'} ${kind}`, style: `--c: ${colour}`, 'data-trial': place }
}

/** What the colours mean, where there are several. */
const legend = () => study.trials.some(({ rank }) => rank !== null && rank < 1)
  ? node('span', { class: 'legend rank' }, 'worst', node('i'), 'best') : node('span', { class: 'legend' })

/** A table whose headings sort it by numbers or texts, empty cells last, and whose rows may be trials. */
function sortable(table) {
  const body = table.tBodies[0]
  const heads = [...table.tHead.rows[0].cells]
  const value = (row, column) => row.cells[column].querySelector('data')?.value ?? row.cells[column].textContent
  heads.forEach((head, column) => {
    if (!head.textContent) return
    const button = node('button', { class: 'sort', type: 'button', onclick: () => {
      const down = head.getAttribute('aria-sort') === 'ascending'
      for (const other of heads) other.removeAttribute('aria-sort')
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending')
      const rows = [...body.rows].map(row => [value(row, column), row])
      rows.sort(([a], [b]) => (a === '–') - (b === '–') || (down ? -1 : 1) *
        (isNaN(a - b) ? a.localeCompare(b, 'en', { numeric: true }) : a - b))
      body.append(...rows.map(([, row]) => row))
    } }, ...head.childNodes)
    head.append(button)
  })
  for (const row of body.rows) {
    const pick = row.querySelector('.pick')
    if (!pick) continue
    row.dataset.trial = pick.dataset.trial
    row.addEventListener('click', event => { if (!event.target.closest('a')) choose(Number(row.dataset.trial)) })
    row.addEventListener('pointermove', event => pointAt(Number(row.dataset.trial), event))
    row.addEventListener('pointerleave', () => pointAt(null))
  }
}
