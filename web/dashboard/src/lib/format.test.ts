import { describe, expect, test } from 'vitest'
import * as f from './format'

const min = 60_000
const hour = 60 * min
const day = 24 * hour

test.each([
  [0, '0 B'],
  [-5, '0 B'],
  [NaN, '0 B'],
  [1, '1 B'],
  [1023, '1023 B'],
  [1024, '1 KiB'],
  [1536, '1.5 KiB'],
  [102_400, '100 KiB'],
  [1024 * 1024 - 1, '1 MiB'],
  [1.4 * 1024 ** 3, '1.4 GiB'],
  [256 * 1024 ** 2, '256 MiB'],
  [2 ** 63, '8 EiB'],
])('bytes(%d) is %s', (n, want) => expect(f.bytes(n)).toBe(want))

test.each([
  [0, '0 B/s'],
  [999, '999 B/s'],
  [1000, '1 kB/s'],
  [212_000_000, '212 MB/s'],
  [999_960, '1 MB/s'],
  [1_250_000_000, '1.3 GB/s'],
])('rate(%d) is %s', (n, want) => expect(f.rate(n)).toBe(want))

test.each([
  [0, 0, '0 %'],
  [0, 10, '0 %'],
  [1, 1000, '0 %'],
  [999_999, 1_000_000, '99 %'],
  [10, 10, '100 %'],
  [11, 10, '100 %'],
])('percent(%d, %d) is %s', (done, total, want) => expect(f.percent(done, total)).toBe(want))

test.each([
  [-1, 'under 1 s'],
  [400, 'under 1 s'],
  [1400, '1 s'],
  [59_400, '59 s'],
  [min, '1 min'],
  [3 * min + 20_000, '3 min 20 s'],
  [12 * min + 20_000, '12 min'],
  [59.6 * min, '1 h'],
  [2 * hour + 5 * min, '2 h 5 min'],
  [26 * hour, '1 d 2 h'],
  [9 * day + hour, '9 days'],
])('duration(%d) is %s', (ms, want) => expect(f.duration(ms)).toBe(want))

test.each([
  [0, 'just now'],
  [-9_000, 'just now'],
  [5_000, 'in a moment'],
  [-42_000, '42 s ago'],
  [-5 * min, '5 min ago'],
  [23 * hour + 59 * min, 'in 23 h'],
  [hour - 1000, 'in 1 h'],
  [59_000, 'in 59 s'],
  [-day, '1 day ago'],
  [-45 * day, '45 days ago'],
  [-70 * day, '2 months ago'],
  [800 * day, 'in 2 years'],
])('relative to now, %d ms is %s', (ms, want) => expect(f.relative(1e12 + ms, 1e12)).toBe(want))

describe('names', () => {
  test('counts', () => {
    expect(f.count(1, 'file')).toBe('1 file')
    expect(f.count(0, 'file')).toBe('0 files')
    expect(f.count(100_000, 'entry', 'entries')).toBe('100,000 entries')
  })
  test('ids', () => {
    expect(f.shortId('12D3KooWHgxyz1234567899xQf')).toBe('12D3Koo…99xQf')
    expect(f.shortId('short')).toBe('short')
    expect(f.shortId('1234567890123')).toBe('1234567890123')
  })
  test('long names keep their end', () => {
    expect(f.shortName('holiday.zip', 20)).toBe('holiday.zip')
    expect(f.shortName('a very long name of a holiday.tar.gz', 20)).toBe('a very long n…tar.gz')
    expect([...f.shortName('🏔'.repeat(40), 20)]).toHaveLength(20)
  })
  test('commands in sentences', () => {
    expect(f.prose('run `cairn up` first')).toEqual([
      { text: 'run ', code: false },
      { text: 'cairn up', code: true },
      { text: ' first', code: false },
    ])
    expect(f.prose('`x`')).toEqual([{ text: 'x', code: true }])
    expect(f.prose('an odd ` stays')).toEqual([{ text: 'an odd ` stays', code: false }])
  })
  test('sentences', () => {
    expect(f.sentence('the peer stopped')).toBe('The peer stopped')
    expect(f.sentence('cairn login prints one')).toBe('cairn login prints one')
    expect(f.sentence('')).toBe('')
  })
  test('times', () => {
    const d = new Date(2025, 10, 3, 9, 5, 7)
    expect(f.clock(d)).toBe('09:05:07')
    expect(f.exact(d)).toBe('2025-11-03 09:05:07')
  })
})
