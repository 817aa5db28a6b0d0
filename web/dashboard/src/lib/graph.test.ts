import { expect, test } from 'vitest'
import { busiest, layout, most, thickness, type Box } from './graph'

const sides = (n: number): { id: string; bps: number }[] => Array.from({ length: n }, (_, i) => ({ id: `p${i}`, bps: i * 100 }))

test.each([
  [1, 0], [3, 0], [0, 1], [0, 4], [1, 1], [8, 2], [2, 8], [8, 8],
])('%d give and %d take: no box overlaps or sticks out', (l, r) => {
  for (const width of [270, 296, 560, 700, 1400]) {
    const g = layout(width, sides(l), sides(r))
    const boxes: Box[] = [g.self, ...g.left.map((x) => x.box), ...g.right.map((x) => x.box)]
    for (const [i, a] of boxes.entries()) {
      expect(a.x).toBeGreaterThanOrEqual(0)
      expect(a.y).toBeGreaterThanOrEqual(0)
      expect(a.x + a.width).toBeLessThanOrEqual(width)
      expect(a.y + a.height).toBeLessThanOrEqual(g.height)
      for (const b of boxes.slice(i + 1)) {
        const apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y
        expect(apart).toBe(true)
      }
    }
    for (const x of g.left) expect(x.box.x).toBeLessThan(g.self.x)
    for (const x of g.right) expect(x.box.x).toBeGreaterThan(g.self.x)
  }
})

test('the fastest line is the widest', () => {
  expect(thickness(0, 100)).toBe(1.5)
  expect(thickness(100, 100)).toBe(10)
  expect(thickness(25, 100)).toBe(5.75)
  expect(thickness(0, 0)).toBe(1.5)
})

test('of many the busiest are drawn, in the order that they had', () => {
  expect(busiest(sides(3)).map((s) => s.id)).toEqual(['p0', 'p1', 'p2'])
  const some = busiest(sides(30).reverse())
  expect(some).toHaveLength(most)
  expect(some[0]?.id).toBe('p29')
  expect(some.at(-1)?.id).toBe('p22')
})
