// Who serves whom, as boxes and lines: those that give on the left, this peer between, those that take on the right.
// Pure; all in CSS pixels.

export interface Side {
  id: string
  bps: number
}

export interface Box {
  x: number
  y: number
  width: number
  height: number
}

export interface Line<S> {
  side: S
  box: Box
  path: string
  /** Where something can be written on the line. */
  middle: { x: number; y: number }
  width: number
}

export interface Graph<S> {
  height: number
  self: Box
  left: Line<S>[]
  right: Line<S>[]
}

/** How many of one side are drawn; the rest is in the table. */
export const most = 8

const tall = 44
const gap = 10

/** The busiest first; of many only some. Order among equals is kept, so that idle boxes do not jump. */
export function busiest<S extends Side>(list: readonly S[]): S[] {
  if (list.length <= most) return [...list]
  const first = new Set([...list].sort((a, b) => b.bps - a.bps).slice(0, most))
  return list.filter((s) => first.has(s))
}

export function layout<S extends Side>(width: number, left: readonly S[], right: readonly S[]): Graph<S> {
  const wide = width >= 560
  const outer = Math.floor(Math.min(wide ? 176 : 96, width * 0.32))
  const inner = Math.floor(Math.min(wide ? 128 : 76, width * 0.26))
  const rows = Math.max(left.length, right.length, 1)
  const height = rows * (tall + gap) - gap
  const columns = left.length > 0 && right.length > 0 ? 3 : 2
  const x = columns === 3 ? (width - inner) / 2 : left.length > 0 ? Math.min(width - inner, outer + 280) : 0
  const self = { x: Math.round(x), y: Math.round((height - 56) / 2), width: inner, height: 56 }
  if (rows === 1) self.y = 0
  const full = Math.max(height, 56)
  const top = Math.max(1, ...left.map((s) => s.bps), ...right.map((s) => s.bps))
  const place = (list: readonly S[], before: boolean): Line<S>[] =>
    list.map((side, i) => {
      const at = before ? 0 : columns === 3 ? width - outer : Math.min(width - outer, inner + 280)
      const y = (full - (list.length * (tall + gap) - gap)) / 2 + i * (tall + gap)
      const box = { x: Math.round(at), y: Math.round(y), width: outer, height: tall }
      const from = before ? { x: box.x + outer, y: box.y + tall / 2 } : { x: self.x + inner, y: port(self, i, list.length) }
      const to = before ? { x: self.x, y: port(self, i, list.length) } : { x: box.x, y: box.y + tall / 2 }
      const bend = (from.x + to.x) / 2
      return {
        side,
        box,
        path: `M${from.x} ${from.y}C${bend} ${from.y} ${bend} ${to.y} ${to.x} ${to.y}`,
        middle: { x: bend, y: (from.y + to.y) / 2 },
        width: thickness(side.bps, top),
      }
    })
  return { height: full, self, left: place(left, true), right: place(right, false) }
}

/** Lines end spread over the middle of the box's edge. */
function port(self: Box, i: number, n: number): number {
  return Math.round(self.y + (self.height * (i + 1)) / (n + 1))
}

/** 1.5 for nothing, 10 for the fastest; by the root, so that slow ones can be told apart. */
export function thickness(bps: number, top: number): number {
  return 1.5 + 8.5 * Math.sqrt(Math.min(1, Math.max(0, bps) / Math.max(1, top)))
}
