// A short history of one number, for the small charts. Pure: time comes in as an argument.

/** A sample per second at most; older than keep seconds is forgotten. A null is a time in which nothing was known. */
export class Series {
  #times: number[] = []
  #values: (number | null)[] = []
  readonly #keep: number

  constructor(keepSeconds = 3600) {
    this.#keep = keepSeconds
  }

  /** Adds the value at a moment, in seconds. Moments only grow; a second value for the same one replaces it. */
  add(at: number, value: number | null): void {
    const last = this.#times.length - 1
    const newest = this.#times[last]
    if (newest !== undefined && at <= newest) {
      this.#values[last] = value
      return
    }
    this.#times.push(at)
    this.#values.push(value)
    let old = 0
    while ((this.#times[old] ?? at) < at - this.#keep) old++
    // Cutting the front off is not cheap: it is done in larger pieces.
    if (old > 0 && (old >= 60 || this.#keep < 60)) {
      this.#times.splice(0, old)
      this.#values.splice(0, old)
    }
  }

  get length(): number {
    return this.#times.length
  }

  /**
   * The last seconds before end as n equal columns, oldest first. A column holds the largest of its samples, null
   * when there is none.
   */
  columns(end: number, seconds: number, n: number): (number | null)[] {
    const out = new Array<number | null>(n).fill(null)
    const begin = end - seconds
    for (let i = this.#times.length - 1; i >= 0; i--) {
      const at = this.#times[i] ?? 0
      if (at <= begin) break
      if (at > end) continue
      const value = this.#values[i] ?? null
      const column = Math.min(n - 1, Math.max(0, Math.ceil(((at - begin) * n) / seconds) - 1))
      const old = out[column] ?? null
      if (value !== null && (old === null || value > old)) out[column] = value
    }
    return out
  }
}

/** A round number at or above max for the top of a scale: 1, 2 or 5 times a power of ten, at least floor. */
export function niceTop(max: number, floor = 1000): number {
  const m = Math.max(max, floor)
  const power = 10 ** Math.floor(Math.log10(m))
  for (const step of [1, 2, 5, 10]) if (step * power >= m) return step * power
  return 10 * power
}
