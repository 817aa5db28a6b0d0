// Which rows of a long list are on the screen. Pure.

export interface Range {
  start: number
  end: number
}

/**
 * The rows to draw of count rows of the same height, when the list's upper edge is at top in a window of the given
 * height (all in pixels). A few more are drawn on both sides, so that scrolling shows no gap.
 */
export function visible(top: number, windowHeight: number, rowHeight: number, count: number, more = 8): Range {
  const first = Math.floor(-top / rowHeight) - more
  const last = Math.ceil((windowHeight - top) / rowHeight) + more
  const start = Math.min(Math.max(0, first), Math.max(0, count - 1))
  return { start: count === 0 ? 0 : start, end: Math.max(count === 0 ? 0 : start, Math.min(count, last)) }
}
