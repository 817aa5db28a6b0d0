import { expect, test } from 'vitest'
import * as r from './rates'

test('columns end with the newest value', () => {
  expect(r.columns([1, 2], 4)).toEqual([null, null, 1, 2])
  expect(r.columns([1, 2, 3], 2)).toEqual([2, 3])
  expect(r.columns([], 2)).toEqual([null, null])
})

test('series of one direction are added, aligned at their ends', () => {
  const h = {
    step_ms: 1000,
    end: '',
    series: [
      { peer_id: 'a', direction: 'down' as const, bps: [1, 2, 3] },
      { peer_id: 'b', direction: 'down' as const, bps: [10] },
      { peer_id: 'c', direction: 'up' as const, bps: [100, 100, 100, 100] },
    ],
  }
  expect(r.together(h, 'down')).toEqual([1, 2, 13])
  expect(r.together({ ...h, series: [] }, 'up')).toEqual([])
})

test('peak', () => expect(r.peak([null, 3, 2])).toBe(3))
