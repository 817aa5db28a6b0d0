import { expect, test } from 'vitest'
import type { Member } from './api'
import { convex, layout, radius, shape } from './map'

const member = (i: number, zone: string, o: Partial<Member> = {}): Member => ({
  id: `m${i}`, name: `m${i}`, self: i === 0, role: 'member', zone, classes: [], coordinator: true, state: 'valid', cloned: false, ...o,
})
const crowd = (n: number, zones: number): Member[] => Array.from({ length: n }, (_, i) => member(i, `z${i % zones}`))

test('who belongs to the network is on the map', () => {
  const l = layout([member(0, 'a'), member(1, 'b', { state: 'expired' }), member(2, 'b', { state: 'revoked' })], 2)
  expect(l.spots.map((s) => s.id)).toEqual(['m0', 'm1'])
  expect(l.hulls.map((h) => h.zone).sort()).toEqual(['a', 'b'])
})

test.each([2, 12, 100, 1000])('%d members do not lie on each other, zones are apart, and all is in the box', (n) => {
  const { spots, box } = layout(crowd(n, 4), 2.2)
  let closest = Infinity
  for (let i = 0; i < spots.length; i++) {
    for (let k = i + 1; k < spots.length; k++) {
      const [a, b] = [spots[i], spots[k]]
      if (a && b) closest = Math.min(closest, Math.hypot(a.x - b.x, a.y - b.y))
    }
  }
  expect(closest).toBeGreaterThan(radius(n) * 1.7)
  for (const s of spots) {
    expect(s.x).toBeGreaterThan(box.x)
    expect(s.x).toBeLessThan(box.x + box.width)
    expect(s.y).toBeGreaterThan(box.y)
    expect(s.y).toBeLessThan(box.y + box.height)
  }
})

test('the same members give the same picture', () => {
  expect(layout(crowd(30, 3), 2)).toEqual(layout(crowd(30, 3), 2))
})

test('one that joins moves nobody far', () => {
  const before = layout(crowd(12, 3), 2)
  const known = new Map(before.spots.map((s) => [s.id, { x: s.x, y: s.y }]))
  const after = layout(crowd(13, 3), 2, known)
  for (const s of after.spots) {
    const was = known.get(s.id)
    if (was) expect(Math.hypot(s.x - was.x, s.y - was.y)).toBeLessThan(120)
  }
})

test('nobody, and one alone', () => {
  expect(layout([], 2).spots).toEqual([])
  const one = layout([member(0, '')], 2)
  expect(one.spots.length).toBe(1)
  expect(one.hulls).toEqual([])
  expect(Number.isFinite(one.box.width)).toBe(true)
})

test('what moves members is who they are and where, not how they are', () => {
  const list = crowd(3, 2)
  expect(shape(list.map((m) => ({ ...m, cloned: true, version: '2' })))).toBe(shape(list))
  expect(shape(list.slice(1))).not.toBe(shape(list))
})

test('a convex hull has no point inside', () => {
  expect(convex([[0, 0], [2, 0], [1, 1], [2, 2], [0, 2]])).toEqual([[0, 0], [2, 0], [2, 2], [0, 2]])
  expect(convex([[0, 0], [1, 0]])).toEqual([[0, 0], [1, 0]])
})
