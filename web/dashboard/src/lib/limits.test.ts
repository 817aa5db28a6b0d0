import { describe, expect, test } from 'vitest'
import type { Limits } from './api'
import * as l from './limits'

test.each([
  ['', 0], ['  ', 0], ['0', 0], ['no limit', 0], ['0 MB/s', 0],
  ['2 MB/s', 2_000_000], ['2MB/s', 2_000_000], ['2 mb/s'.replace('b', 'B'), 2_000_000], ['1,5 MB', 1_500_000], ['500k', 500_000],
  ['500 kB/s', 500_000], ['16 Mbit/s', 2_000_000], ['16 mbit', 2_000_000], ['1 MiB/s', 1_048_576], ['1 GB/s', 1e9], ['2048 B/s', 2048],
])('%j is %d bytes per second', (text, want) => expect(l.parseRate(text)).toEqual({ bps: want, wrong: '' }))

test.each([
  ['fast', 'such as 2 MB/s'], ['2', 'Add a unit: 2 MB/s?'], ['2 Mb/s', 'MB/s or Mbit/s'], ['-2 MB/s', 'such as'], ['1 kB/s', 'The least'],
  ['2000 GB/s', 'more than can be set'], ['1e3 kB/s', 'such as'],
])('%j is refused', (text, want) => expect(l.parseRate(text).wrong).toContain(want))

test.each([
  [0, ''], [2_000_000, '2 MB/s'], [2_500_000, '2.5 MB/s'], [4096, '4.096 kB/s'], [1_234_567, '1234.567 kB/s'], [1e9, '1 GB/s'], [1025, '1.025 kB/s'],
])('%d is written as %j and read back', (bps, text) => {
  expect(l.rateText(bps)).toBe(text)
  expect(l.parseRate(text).bps).toBe(bps)
})

const kept: Limits = {
  up: 2_000_000,
  down: 0,
  hours: [{ days: ['mon', 'tue'], from: '22:00', to: '24:00', up: 0, down: 5000 }],
  peers: [{ peer_id: '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5', up: 1024, down: 0 }],
  effective: { up: 2_000_000, down: 0, reason: 'the limits for all hours' },
}

test('a form that nobody touched means what was kept', () => {
  const { wanted, wrong } = l.read(l.draftOf(kept))
  expect(wrong).toEqual({})
  expect(wanted).toEqual(l.wantedOf(kept))
  expect(l.same(wanted, l.wantedOf(kept))).toBe(true)
})

test('every day is no day', () => {
  const all = { ...kept, hours: [{ ...kept.hours[0]!, days: [...l.days] }] }
  expect(l.draftOf(all).hours[0]?.days).toEqual([])
  expect(l.same(l.read(l.draftOf(all)).wanted, l.wantedOf(all))).toBe(true)
})

describe('what is wrong is said at its field', () => {
  const draft = (): l.Draft => l.draftOf(kept)
  test('rates', () => {
    const d = { ...draft(), up: 'x' }
    expect(Object.keys(l.read(d).wrong)).toEqual(['up'])
  })
  test('hours', () => {
    const d = draft()
    const h = { ...l.newHour(), from: '08:00', to: '08:00' }
    d.hours.push(h, { ...l.newHour(), from: '' })
    expect(l.read(d).wrong[`hour ${h.key} to`]).toContain('whole day')
    expect(Object.values(l.read(d).wrong)).toContain('When does it begin?')
    expect(l.read({ ...draft(), hours: [{ ...h, from: '00:00', to: '00:00' }] }).wrong).toEqual({})
  })
  test('peers', () => {
    const d = draft()
    const [a, b, c] = [{ ...l.newPeer(), up: '1 MB/s' }, { ...l.newPeer(), id: d.peers[0]?.id ?? '', up: '1 MB/s' }, { ...l.newPeer(), id: '1'.repeat(40) }]
    d.peers.push(a, b, c)
    const { wrong } = l.read(d)
    expect(wrong[`peer ${a.key} id`]).toContain('whole id')
    expect(wrong[`peer ${b.key} id`]).toContain('above')
    expect(wrong[`peer ${c.key} up`]).toContain('at least one')
  })
})

test('what holds now', () => {
  expect(l.effectiveWords(kept.effective)).toBe('Now up at most 2 MB/s, down not limited.')
  expect(l.effectiveWords({ up: 0, down: 0, reason: '' })).toBe('Now nothing is limited for all peers together.')
})
