import { describe, expect, test } from 'vitest'
import { niceTop, Series } from './series'

describe('series', () => {
  test('a column per second', () => {
    const s = new Series()
    for (let t = 1; t <= 5; t++) s.add(t, t * 10)
    expect(s.columns(5, 5, 5)).toEqual([10, 20, 30, 40, 50])
    expect(s.columns(6, 5, 5)).toEqual([20, 30, 40, 50, null])
  })

  test('a column of several seconds holds the largest', () => {
    const s = new Series()
    for (const [t, v] of [[1, 5], [2, 9], [3, 1], [4, 2]] as const) s.add(t, v)
    expect(s.columns(4, 4, 2)).toEqual([9, 2])
  })

  test('gaps stay gaps', () => {
    const s = new Series()
    s.add(1, 7)
    s.add(2, null)
    s.add(4, 3)
    expect(s.columns(4, 4, 4)).toEqual([7, null, null, 3])
  })

  test('a second value of a moment replaces the first', () => {
    const s = new Series()
    s.add(1, 7)
    s.add(1, 8)
    s.add(0.5, 9)
    expect(s.length).toBe(1)
    expect(s.columns(1, 1, 1)).toEqual([9])
  })

  test('what is old is forgotten', () => {
    const s = new Series(100)
    for (let t = 0; t < 10_000; t++) s.add(t, 1)
    expect(s.length).toBeLessThanOrEqual(161)
    expect(s.columns(9_999, 100, 100).every((v) => v === 1)).toBe(true)
  })
})

test.each([
  [0, 1000],
  [1000, 1000],
  [1001, 2000],
  [2_100_000, 5_000_000],
  [6e8, 1e9],
])('the top of a scale for %d is %d', (max, want) => expect(niceTop(max)).toBe(want))
