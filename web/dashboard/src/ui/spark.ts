// Drawing of the small charts. The line has the canvas's text colour and the rules its outline colour, so that
// both follow the theme.
export interface Picture {
  width: number // CSS pixels
  height: number
  values: readonly (number | null)[]
  top: number // the value at the upper edge
  at: number | null // the column under the pointer
}

const head = 16 // pixels kept free for the number at the top

export function draw(canvas: HTMLCanvasElement, p: Picture): void {
  const ratio = window.devicePixelRatio || 1
  const w = Math.round(p.width * ratio)
  const h = Math.round(p.height * ratio)
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w
    canvas.height = h
  }
  const c = canvas.getContext('2d')
  if (c === null) return
  c.setTransform(ratio, 0, 0, ratio, 0, 0)
  c.clearRect(0, 0, p.width, p.height)
  const colour = getComputedStyle(canvas).color
  // Not --line itself: only the value of a real property is resolved to a colour.
  const line = getComputedStyle(canvas).outlineColor
  rule(c, head + 0.5, p.width, line)
  rule(c, Math.round((head + p.height) / 2) + 0.5, p.width, line)
  rule(c, p.height - 0.5, p.width, line)
  const step = p.width / p.values.length
  const y = (v: number): number => p.height - 1 - (v / p.top) * (p.height - 1 - head)
  for (const [from, to] of runs(p.values)) {
    c.beginPath()
    for (let i = from; i < to; i++) {
      const x = (i + 0.5) * step
      if (i === from) c.moveTo(from === 0 ? 0 : x, y(p.values[i] ?? 0))
      c.lineTo(to === p.values.length && i === to - 1 ? p.width : x, y(p.values[i] ?? 0))
    }
    c.strokeStyle = colour
    c.lineWidth = 1.5
    c.lineJoin = 'round'
    c.stroke()
    c.lineTo(to === p.values.length ? p.width : (to - 0.5) * step, p.height)
    c.lineTo(from === 0 ? 0 : (from + 0.5) * step, p.height)
    c.closePath()
    c.globalAlpha = 0.14
    c.fillStyle = colour
    c.fill()
    c.globalAlpha = 1
  }
  if (p.at !== null) mark(c, p, (p.at + 0.5) * step, y, colour)
}

/** The stretches of columns without a gap, as [from, to). */
export function runs(values: readonly (number | null)[]): [number, number][] {
  const out: [number, number][] = []
  let from = -1
  for (let i = 0; i <= values.length; i++) {
    const known = i < values.length && values[i] !== null
    if (known && from < 0) from = i
    if (!known && from >= 0) {
      out.push([from, i])
      from = -1
    }
  }
  return out
}

function rule(c: CanvasRenderingContext2D, y: number, width: number, colour: string): void {
  c.strokeStyle = colour
  c.lineWidth = 1
  c.beginPath()
  c.moveTo(0, y)
  c.lineTo(width, y)
  c.stroke()
}

function mark(c: CanvasRenderingContext2D, p: Picture, x: number, y: (v: number) => number, colour: string): void {
  c.strokeStyle = colour
  c.lineWidth = 1
  c.beginPath()
  c.moveTo(x, head)
  c.lineTo(x, p.height)
  c.stroke()
  const v = p.values[p.at ?? 0] ?? null
  if (v === null) return
  c.fillStyle = colour
  c.beginPath()
  c.arc(x, y(v), 3, 0, 2 * Math.PI)
  c.fill()
}
