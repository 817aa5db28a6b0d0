// Drawing of the piece map. Every state has a shape besides its colour: what is partly here is partly filled, what is
// asked for has an outline, cells of several givers have a line, and colours that are used twice have a dot.
import type { Mark } from '../lib/palette'
import { nobody, several, type Grid, type PieceMap } from '../lib/pieces'

export interface Colours {
  empty: string
  text: string
  earlier: string
  several: string
  surface: string
  series: string[]
}

/** The colours of the theme, as probe (an element of the page) has them. */
export function colours(probe: HTMLElement): Colours {
  const read = (token: string): string => {
    probe.style.color = `var(--${token})`
    return getComputedStyle(probe).color
  }
  return {
    empty: read('line'),
    text: read('text'),
    earlier: read('edge'),
    several: read('quiet'),
    surface: read('surface'),
    series: [1, 2, 3, 4, 5, 6].map((i) => read(`series-${i}`)),
  }
}

/** One picture: what there is to paint and where. */
export class Painter {
  readonly #c: CanvasRenderingContext2D | null
  readonly #ratio = window.devicePixelRatio || 1

  constructor(
    canvas: HTMLCanvasElement,
    readonly grid: Grid,
    readonly map: PieceMap,
    readonly marks: readonly Mark[],
    readonly colours: Colours,
  ) {
    const w = Math.max(1, Math.round(grid.columns * grid.width * this.#ratio))
    const h = Math.max(1, Math.round(grid.rows * grid.height * this.#ratio))
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w
      canvas.height = h
    }
    this.#c = canvas.getContext('2d')
  }

  all(done: Uint8Array): void {
    this.#c?.clearRect(0, 0, this.#c.canvas.width, this.#c.canvas.height)
    for (let i = 0; i < this.grid.cells; i++) this.cell(i, done[i] ?? 0)
  }

  cell(i: number, done: number): void {
    const c = this.#c
    if (c === null) return
    const { columns, width, height } = this.grid
    const r = this.#ratio
    const gap = Math.max(1, Math.round(r))
    const [column, row] = [i % columns, Math.floor(i / columns)]
    const x = Math.round(column * width * r)
    const y = Math.round(row * height * r)
    const w = Math.max(1, Math.round((column + 1) * width * r) - x - gap)
    const h = Math.max(1, Math.round((row + 1) * height * r) - y - gap)
    c.fillStyle = this.colours.empty
    c.fillRect(x, y, w, h)
    if (done > 0) this.#fill(c, this.map.source[i] ?? nobody, x, y, w, h, done)
    if (this.map.asked[i]) {
      const line = Math.max(1, Math.round(1.25 * r))
      c.strokeStyle = this.colours.text
      c.lineWidth = line
      c.strokeRect(x + line / 2, y + line / 2, w - line, h - line)
    }
  }

  #fill(c: CanvasRenderingContext2D, source: number, x: number, y: number, w: number, h: number, done: number): void {
    const part = done >= 100 ? h : Math.min(h - 1, Math.max(1, Math.round((h * done) / 100)))
    const top = y + h - part
    const mark = source === nobody || source === several ? undefined : this.marks[source - 1]
    const plain = source === several ? this.colours.several : this.colours.earlier
    c.fillStyle = mark ? (this.colours.series[mark.colour - 1] ?? plain) : plain
    c.fillRect(x, top, w, part)
    c.fillStyle = this.colours.surface
    const thin = Math.max(1, Math.round(this.#ratio))
    if (source === several && part >= 3 * thin) c.fillRect(x + thin, top + Math.floor(part / 2), w - 2 * thin, thin)
    else if (mark?.again && part === h) c.fillRect(x + Math.floor(w / 2) - thin, y + Math.floor(h / 2) - thin, 2 * thin, 2 * thin)
  }
}
