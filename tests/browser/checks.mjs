// What must hold of every page. The functions that are handed to the browser stand alone: they see nothing of this file.

/** Faults of the document that no size of the window changes. */
export function ofDocument() {
  const faults = []
  const all = (selector) => [...document.querySelectorAll(selector)]
  const name = (it) => it.outerHTML.slice(0, 120)
  if (all('h1').length !== 1) faults.push(`${all('h1').length} h1`)
  let level = 0
  for (const heading of all('h1, h2, h3, h4, h5, h6')) {
    const next = Number(heading.tagName[1])
    if (next > level + 1) faults.push(`a gap before ${name(heading)}`)
    level = next
  }
  const ids = all('[id]').map((it) => it.id)
  for (const id of new Set(ids.filter((id, place) => ids.indexOf(id) !== place))) faults.push(`twice: id ${id}`)
  for (const attribute of ['aria-describedby', 'aria-labelledby', 'aria-controls', 'popovertarget', 'for']) {
    for (const it of all(`[${attribute}]`)) {
      for (const id of it.getAttribute(attribute).split(/\s+/)) {
        if (!document.getElementById(id)) faults.push(`${attribute} without its target: ${name(it)}`)
      }
    }
  }
  const hasName = (it) => {
    if (it.getAttribute('aria-label')?.trim() || it.hasAttribute('aria-labelledby')) return true
    if (it.labels?.length) return [...it.labels].some((label) => label.textContent.trim())
    return !it.matches('input, select, textarea') && it.textContent.trim() !== ''
  }
  for (const it of all('a, button, summary, select, textarea, input:not([type=hidden], [hidden])')) {
    if (!hasName(it)) faults.push(`without a name: ${name(it)}`)
  }
  if (all('else').length > 0) faults.push('an element <else>')
  if (all('script:not([src]), style, [style], [onclick], [onload], [onerror]').length > 0) faults.push('script or style in the page')
  if (!document.title.trim()) faults.push('no title')
  return faults
}

/** Faults of how it lies in a window of this size. */
export function ofLayout(targetMin) {
  const faults = []
  const name = (it) => it.outerHTML.replace(/\s+/g, ' ').slice(0, 120)
  const root = document.documentElement
  if (root.scrollWidth > root.clientWidth) {
    const wide = [...document.querySelectorAll('body *')].filter((it) => it.getBoundingClientRect().right > root.clientWidth + 1)
    faults.push(`${root.scrollWidth} px wide in a window of ${root.clientWidth}: ${wide.slice(-1).map(name)}`)
  }
  const box = (it) => {
    const parts = [it, ...(it.labels ?? [])].map((part) => part.getBoundingClientRect())
    const edge = (side, of) => of(...parts.map((part) => part[side]))
    return { width: edge('right', Math.max) - edge('left', Math.min), height: edge('bottom', Math.max) - edge('top', Math.min) }
  }
  for (const it of document.querySelectorAll('a, button, summary, select, textarea, input:not([type=hidden])')) {
    // Links in the flow of a text are exempt, and the skip link until it has the focus.
    if (!it.checkVisibility() || it.matches('.skip') || (it.tagName === 'A' && getComputedStyle(it).display === 'inline')) continue
    const { width, height } = it.matches('[type=checkbox], [type=radio]') ? box(it) : it.getBoundingClientRect()
    // The width of a link is that of its words.
    const widthMin = it.tagName === 'A' ? 24 : targetMin
    if (height < targetMin - 0.5 || width < widthMin - 0.5) faults.push(`only ${Math.round(width)} × ${Math.round(height)} px: ${name(it)}`)
  }
  return faults
}

/** Marks what Tab has to reach, once each; one button of a group of radio buttons stands for all. */
export function markControls() {
  // Tab goes on from where this stood: from the start.
  const start = Object.assign(document.createElement('span'), { tabIndex: -1 })
  document.body.prepend(start)
  start.focus()
  start.remove()
  const groups = new Set()
  let number = 0
  for (const it of document.querySelectorAll('a[href], button, summary, select, textarea, input:not([type=hidden]), [tabindex="0"]')) {
    if (!it.checkVisibility({ visibilityProperty: true }) || it.disabled) continue
    if (it.type === 'radio') {
      const group = [...document.querySelectorAll(`input[type=radio][name="${it.name}"]`)]
      const stop = group.find((other) => other.checked) ?? it
      if (groups.has(it.name) || stop !== it) continue
      groups.add(it.name)
    }
    it.dataset.tabStop = number++
  }
  return number
}

/** The number of the control that has the focus. */
export const focused = () => document.activeElement?.dataset.tabStop ?? (document.activeElement === document.body ? 'body' : 'other')
