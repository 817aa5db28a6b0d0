import { describe, expect, test } from 'vitest'
import * as p from './pieces'

const b64 = (list: readonly number[]): string => btoa(String.fromCharCode(...list))

const map = (leaves: number, perCell: number, done: number[], source: number[], asked: number[] = done.map(() => 0)): p.PieceMap => {
  const m = p.decode({ leaves, per_cell: perCell, done: b64(done), source: b64(source), asked: b64(asked), peers: ['x', 'y'] })
  if (m === null) throw new Error('no map')
  return m
}

const name = (id: string): string => ({ x: 'A', y: 'B' })[id] ?? '?'

test('an answer without leaves, or with lists that do not fit, is no map', () => {
  const empty = { leaves: 0, per_cell: 0, done: '', source: '', asked: '', peers: [] }
  expect(p.decode(empty)).toBeNull()
  expect(p.decode({ ...empty, leaves: 3, per_cell: 2, done: b64([1]), source: b64([1]), asked: b64([0]) })).toBeNull()
})

test('what is here, with a last cell that is smaller', () => {
  expect(p.here(map(5, 2, [100, 50, 100], [1, 1, 2]))).toBe(4)
  expect(p.here(map(1, 1, [100], [1]))).toBe(1)
  expect(p.here(map(1_000_000, 500, new Array<number>(2000).fill(100), new Array<number>(2000).fill(0)))).toBe(1_000_000)
})

describe('merging', () => {
  test('keeps the shares, the givers and what is asked', () => {
    const m = p.merge(map(7, 1, [100, 0, 100, 100, 0, 0, 100], [1, 0, 1, 2, 0, 0, 2], [0, 1, 0, 0, 0, 0, 0]), 2)
    expect(m.perCell).toBe(2)
    expect([...m.done]).toEqual([50, 100, 0, 100])
    expect([...m.source]).toEqual([1, p.several, 0, 2])
    expect([...m.asked]).toEqual([1, 0, 0, 0])
  })
  test('says 0 and 100 only when it is so', () => {
    const done = new Array<number>(1000).fill(0)
    done[3] = 100
    expect(p.merge(map(1000, 1, done, done), 1000).done[0]).toBe(1)
    const most = new Array<number>(1000).fill(100)
    most[3] = 99
    expect(p.merge(map(1000, 1, most, most), 1000).done[0]).toBe(99)
  })
  test('an earlier attempt beside a peer is that peer', () => {
    expect(p.merge(map(2, 1, [100, 100], [0, 2]), 2).source[0]).toBe(2)
  })
  test('of one is nothing', () => {
    const m = map(2, 1, [100, 100], [0, 2])
    expect(p.merge(m, 1)).toBe(m)
  })
})

describe('the grid', () => {
  test.each([1, 2, 7, 50, 180, 1024, 3000, 4096])('%d cells fit every width', (n) => {
    for (const width of [200, 296, 328, 640, 1000, 2200]) {
      const g = p.grid(n, width, 240)
      expect(g.rows === 1 || g.rows * g.height <= 240).toBe(true)
      expect(g.columns * g.width).toBeCloseTo(width, 6)
      expect(g.width).toBeGreaterThanOrEqual(5)
      expect(g.cells).toBe(Math.ceil(n / g.group))
      expect(g.columns * g.rows).toBeGreaterThanOrEqual(g.cells)
      expect(g.columns * (g.rows - 1)).toBeLessThan(g.cells)
    }
  })
  test('one leaf takes the whole width', () => {
    expect(p.grid(1, 300, 240)).toEqual({ group: 1, cells: 1, columns: 1, rows: 1, width: 300, height: 28 })
  })
  test('points and keys find cells', () => {
    const g = p.grid(50, 180, 240) // 10 columns of 18
    expect([g.columns, g.rows]).toEqual([10, 5])
    expect(p.cellAt(g, 0, 0)).toBe(0)
    expect(p.cellAt(g, 179, 89)).toBe(49)
    expect(p.cellAt(g, 180, 0)).toBe(-1)
    expect(p.cellAt(g, 5, 90)).toBe(-1)
    expect(p.cellAt(p.grid(45, 180, 240), 170, 80)).toBe(-1)
    expect(p.step(g, 0, 'ArrowDown')).toBe(10)
    expect(p.step(g, 49, 'ArrowRight')).toBe(49)
    expect(p.step(g, 3, 'ArrowUp')).toBe(0)
    expect(p.step(g, 3, 'End')).toBe(49)
    expect(p.step(g, 3, 'Tab')).toBeNull()
  })
})

test.each<[number, string]>([
  [0, 'Leaves 0 to 255: here, from A.'],
  [1, 'Leaves 256 to 511: 40 % here, from B. More of it is asked for now.'],
  [2, 'Leaves 512 to 767: here, from several peers.'],
  [3, 'Leaves 768 to 1,023: here, from an earlier attempt.'],
  [4, 'Leaves 1,024 to 1,279: not here yet, asked for now.'],
  [5, 'Leaf 1,280: not here yet.'],
])('cell %d in words', (i, want) => {
  const m = map(1281, 256, [100, 40, 100, 100, 0, 0], [1, 2, 255, 0, 0, 0], [0, 1, 0, 0, 1, 0])
  expect(p.cellWords(m, i, name)).toBe(want)
})

describe('the summary', () => {
  test('counts leaves', () => {
    const m = map(5, 1, [100, 100, 100, 0, 0], [1, 1, 2, 0, 0], [0, 0, 0, 1, 0])
    expect(p.summary(m, [{ name: 'A', bytes: 10 }, { name: 'B', bytes: 30 }, { name: 'C', bytes: 0 }])).toBe(
      '3 of 5 leaves (60 %): 75 % from B, 25 % from A. 1 leaf asked for now.',
    )
  })
  test('of large objects is a guess, and says so', () => {
    const m = map(1000, 100, [100, 50, ...new Array<number>(8).fill(0)], new Array<number>(10).fill(0), [0, 1, ...new Array<number>(8).fill(0)])
    expect(p.summary(m, [{ name: 'an earlier attempt', bytes: 1 }])).toBe(
      'about 150 of 1,000 leaves (15 %): 100 % from an earlier attempt. Leaves in 1 place asked for now.',
    )
  })
  test('of nothing', () => {
    expect(p.summary(map(1, 1, [0], [0]), [])).toBe('0 of 1 leaf (0 %).')
  })
  test('names six givers', () => {
    const parts = [...'ABCDEFGH'].map((n, i) => ({ name: n, bytes: 100 + i }))
    expect(p.summary(map(1, 1, [100], [1]), parts)).toContain('the rest from 2 more')
  })
})
