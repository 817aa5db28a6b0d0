// The map of a download: which of its leaves are here, and from whom. Pure: decoding, merging cells so that they fit a
// width, and saying in words what the picture shows.
import type { Pieces } from './api'
import { count, percent, whole } from './format'

/** Values of a cell's source besides 1 + the index of a peer. */
export const nobody = 0 // nothing is here, or an earlier attempt left it
export const several = 255

export interface PieceMap {
  leaves: number
  perCell: number
  done: Uint8Array // percent
  source: Uint8Array
  asked: Uint8Array // 0 or 1
  peers: readonly string[]
}

function bytesOf(text: string): Uint8Array {
  const raw = atob(text)
  return Uint8Array.from(raw, (c) => c.charCodeAt(0))
}

/** The map in an answer of the peer; null if there is none, or one whose lists do not fit each other. */
export function decode(p: Pieces): PieceMap | null {
  if (p.leaves <= 0 || p.per_cell <= 0) return null
  const cells = Math.ceil(p.leaves / p.per_cell)
  const [done, source, asked] = [bytesOf(p.done), bytesOf(p.source), bytesOf(p.asked)]
  if (done.length !== cells || source.length !== cells || asked.length !== cells) return null
  return { leaves: p.leaves, perCell: p.per_cell, done, source, asked, peers: p.peers }
}

/** How many leaves cell i holds. */
export const leavesIn = (m: PieceMap, i: number): number => Math.min(m.perCell, m.leaves - i * m.perCell)

/** The leaves that are here. With several leaves in a cell it is a close guess, exact when all or nothing is here. */
export function here(m: PieceMap): number {
  let sum = 0
  for (let i = 0; i < m.done.length; i++) sum += ((m.done[i] ?? 0) * leavesIn(m, i)) / 100
  return Math.round(sum)
}

/** The map with each group of cells merged into one. */
export function merge(m: PieceMap, group: number): PieceMap {
  if (group <= 1) return m
  const n = Math.ceil(m.done.length / group)
  const out: PieceMap = {
    leaves: m.leaves,
    perCell: m.perCell * group,
    done: new Uint8Array(n),
    source: new Uint8Array(n),
    asked: new Uint8Array(n),
    peers: m.peers,
  }
  for (let i = 0; i < n; i++) {
    let [done, all, source, asked] = [0, 0, nobody, 0]
    for (let k = i * group; k < Math.min(m.done.length, (i + 1) * group); k++) {
      const leaves = leavesIn(m, k)
      all += leaves
      done += (m.done[k] ?? 0) * leaves
      asked |= m.asked[k] ?? 0
      const s = m.source[k] ?? nobody
      if (s !== nobody) source = source === nobody || source === s ? s : several
    }
    const share = done / all
    // 100 only when all is here, 0 only when nothing is.
    out.done[i] = share >= 100 ? 100 : share <= 0 ? 0 : Math.min(99, Math.max(1, Math.floor(share)))
    out.source[i] = source
    out.asked[i] = asked
  }
  return out
}

/** How cells lie on a surface, in CSS pixels. */
export interface Grid {
  group: number // cells of the map in one that is drawn
  cells: number // drawn
  columns: number
  rows: number
  width: number // of a column, not whole
  height: number // of a row
}

const sides = [18, 16, 14, 12, 10, 8, 7, 6, 5]

/** The largest cells with which all fit into width and height; at the smallest size cells are merged. */
export function grid(cells: number, width: number, height: number): Grid {
  const whole = (side: number, n: number): Grid => {
    const columns = Math.min(n, Math.max(1, Math.floor(width / side)))
    const rows = Math.ceil(n / columns)
    return { group: 1, cells: n, columns, rows, width: width / columns, height: rows === 1 ? 28 : side }
  }
  for (const side of sides) {
    const g = whole(side, cells)
    if (g.rows * side <= height) return g
  }
  const side = sides[sides.length - 1] ?? 5
  const room = Math.max(1, Math.floor(width / side) * Math.floor(height / side))
  const group = Math.ceil(cells / room)
  return { ...whole(side, Math.ceil(cells / group)), group }
}

/** The cell at a point; -1 beside them. */
export function cellAt(g: Grid, x: number, y: number): number {
  const [column, row] = [Math.floor(x / g.width), Math.floor(y / g.height)]
  if (column < 0 || column >= g.columns || row < 0 || row >= g.rows) return -1
  const i = row * g.columns + column
  return i < g.cells ? i : -1
}

/** The cell where a key leads to from cell i; null: the key means nothing here. */
export function step(g: Grid, i: number, key: string): number | null {
  const to = {
    ArrowRight: i + 1,
    ArrowLeft: i - 1,
    ArrowDown: i + g.columns,
    ArrowUp: i - g.columns,
    Home: 0,
    End: g.cells - 1,
    PageDown: i + g.columns * 5,
    PageUp: i - g.columns * 5,
  }[key]
  return to === undefined ? null : Math.min(g.cells - 1, Math.max(0, to))
}

/** What one cell shows: 'Leaves 1,024 to 1,279: 40 % here, from B. Asked for now.' name says who a peer is. */
export function cellWords(m: PieceMap, i: number, name: (id: string) => string): string {
  const first = i * m.perCell
  const n = leavesIn(m, i)
  const which = n === 1 ? `Leaf ${whole(first)}` : `Leaves ${whole(first)} to ${whole(first + n - 1)}`
  const done = m.done[i] ?? 0
  const asked = m.asked[i] ? (done > 0 ? '. More of it is asked for now' : ', asked for now') : ''
  if (done === 0) return `${which}: not here yet${asked}.`
  const source = m.source[i] ?? nobody
  const from =
    source === nobody ? 'from an earlier attempt' : source === several ? 'from several peers' : `from ${name(m.peers[source - 1] ?? '')}`
  return `${which}: ${done === 100 ? '' : `${done} % `}here, ${from}${asked}.`
}

/** One giver and the bytes that came from it. */
export interface Part {
  name: string
  bytes: number
}

/** The picture in one or two sentences. */
export function summary(m: PieceMap, parts: readonly Part[]): string {
  const n = here(m)
  const guess = m.perCell > 1 && n > 0 && n < m.leaves ? 'about ' : ''
  let text = `${guess}${whole(n)} of ${count(m.leaves, 'leaf', 'leaves')} (${percent(n, m.leaves)})`
  const sum = parts.reduce((a, p) => a + p.bytes, 0)
  const given = parts.filter((p) => p.bytes > 0).sort((a, b) => b.bytes - a.bytes)
  const shown = given.slice(0, 6)
  if (n > 0 && sum > 0) {
    const list = shown.map((p) => `${part(p.bytes, sum)} from ${p.name}`)
    if (given.length > shown.length) list.push(`the rest from ${given.length - shown.length} more`)
    text += `: ${list.join(', ')}`
  }
  const asked = m.asked.reduce((a, v) => a + v, 0)
  if (asked === 0) return `${text}.`
  return `${text}. ${m.perCell === 1 ? `${count(asked, 'leaf', 'leaves')} asked for now` : `Leaves in ${count(asked, 'place')} asked for now`}.`
}

function part(bytes: number, sum: number): string {
  const p = (bytes / sum) * 100
  return p < 1 ? 'under 1 %' : `${Math.round(p)} %`
}
