import { expect, test } from 'vitest'
import { visible } from './virtual'

test.each([
  ['the beginning', 100, 600, 40, 100_000, { start: 0, end: 21 }],
  ['the middle', -40_000, 600, 40, 100_000, { start: 992, end: 1023 }],
  ['the end', -3_999_400, 600, 40, 100_000, { start: 99_977, end: 100_000 }],
  ['past the end', -9_999_999, 600, 40, 10, { start: 9, end: 10 }],
  ['far below the window', 5_000, 600, 40, 10, { start: 0, end: 0 }],
  ['nothing', 0, 600, 40, 0, { start: 0, end: 0 }],
])('%s', (_, top, height, row, count, want) => expect(visible(top, height, row, count)).toEqual(want))

test('every row is drawn at some place of the scroll, and never more than fit', () => {
  const seen = new Set<number>()
  for (let y = 0; y <= 500 * 40; y += 300) {
    const r = visible(-y, 600, 40, 500)
    expect(r.end - r.start).toBeLessThanOrEqual(15 + 2 * 8 + 2)
    for (let i = r.start; i < r.end; i++) seen.add(i)
  }
  expect(seen.size).toBe(500)
})
