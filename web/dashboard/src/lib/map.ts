// Where members lie on the map of a network: those of a zone together, the zone of this peer in the middle. Pure; in CSS pixels.
import { forceCollide, forceManyBody, forceSimulation, forceX, forceY, type SimulationNodeDatum } from 'd3-force'
import type { Member } from './api'
import { belongs } from './members'

export interface Spot extends SimulationNodeDatum {
  id: string
  zone: string
  self: boolean
  x: number
  y: number
}

export interface Hull {
  zone: string
  path: string
  /** Where its name is written: over its upper edge. */
  label: { x: number; y: number }
}

export interface Layout {
  spots: Spot[]
  hulls: Hull[]
  /** The part of the plane that holds all of it. */
  box: { x: number; y: number; width: number; height: number }
}

const spread = 1.15 // how far apart members begin, in the room that each has

/** How large a node is drawn, so that many fit. */
export const radius = (n: number): number => (n <= 30 ? 11 : n <= 120 ? 8 : n <= 400 ? 5 : 3.5)

/** Whether there is room for names. */
export const named = (n: number): boolean => n <= 60

/** A text that changes when the layout has to: who is there, and in which zone. */
export const shape = (list: readonly Member[]): string => list.filter(belongs).map((m) => `${m.id} ${m.zone ?? ''}`).join('\n')

/**
 * Places the members that belong to the network. known are the places of an earlier layout, which are kept as far as they can
 * be: a member that joins moves its neighbours, not everybody. aspect is width by height of the picture.
 */
export function layout(list: readonly Member[], aspect: number, known: ReadonlyMap<string, { x: number; y: number }> = new Map()): Layout {
  const there = list.filter(belongs)
  const r = radius(there.length)
  const room = named(there.length) ? r * 2.6 : r * 1.5
  const centres = zoneCentres(there, room, aspect)
  const nth = new Map<string, number>()
  const spots = there.map((m): Spot => {
    const zone = m.zone ?? ''
    const c = centres.get(zone) ?? { x: 0, y: 0 }
    const n = nth.get(zone) ?? 0
    nth.set(zone, n + 1)
    // A sunflower: even spacing without chance, so that the same members always give the same picture.
    const at = known.get(m.id) ?? { x: c.x + spread * Math.sqrt(n + 0.3) * room * Math.cos(n * 2.4), y: c.y + spread * Math.sqrt(n + 0.3) * room * Math.sin(n * 2.4) }
    return { id: m.id, zone, self: m.self, x: at.x, y: at.y }
  })
  const sim = forceSimulation(spots).force('apart', forceCollide<Spot>(room))
  // A crowd lies well from the beginning; pulled together it would be squeezed faster than it gives way.
  const crowd = there.length > 200
  if (!crowd) {
    sim
      .force('x', forceX<Spot>((s) => centres.get(s.zone)?.x ?? 0).strength(0.12))
      .force('y', forceY<Spot>((s) => centres.get(s.zone)?.y ?? 0).strength(0.12))
      .force('push', forceManyBody<Spot>().strength(-r).distanceMax(room * 6))
  }
  sim.stop().tick(crowd ? 10 : 120)
  const hulls = [...centres.keys()].filter((z) => z !== '').map((zone) => hull(zone, spots.filter((s) => s.zone === zone), r + 12))
  return { spots, hulls, box: boxOf(spots, r + (named(there.length) ? 34 : 26)) }
}

/** A middle for each zone: that of this peer first, the others around it in the order of their names. */
function zoneCentres(list: readonly Member[], room: number, aspect: number): Map<string, { x: number; y: number }> {
  const sizes = new Map<string, number>()
  for (const m of list) sizes.set(m.zone ?? '', (sizes.get(m.zone ?? '') ?? 0) + 1)
  const own = list.find((m) => m.self)?.zone ?? ''
  const others = [...sizes.keys()].filter((z) => z !== own).sort()
  const reach = (z: string): number => room * (spread * Math.sqrt(sizes.get(z) ?? 1) + 1)
  const out = new Map([[own, { x: 0, y: 0 }]])
  // Around the middle, far enough that neighbours do not touch.
  const widest = Math.max(0, ...others.map(reach))
  const around = others.length < 2 ? 0 : widest / Math.sin(Math.PI / Math.max(3, others.length))
  const distance = Math.max(reach(own) + widest + room, around)
  const wide = Math.min(1.6, Math.max(1, Math.sqrt(aspect)))
  const tall = Math.min(1.6, Math.max(1, 1 / Math.sqrt(aspect)))
  others.forEach((z, i) => {
    const angle = (2 * Math.PI * i) / others.length + (others.length === 2 ? Math.PI : Math.PI * 0.75)
    out.set(z, { x: distance * wide * Math.cos(angle), y: distance * tall * Math.sin(angle) })
  })
  return out
}

/** The outline of a zone: the convex hull of its members, moved outwards by a margin, with round corners. */
function hull(zone: string, spots: readonly Spot[], margin: number): Hull {
  const points = spots.flatMap((s) =>
    Array.from({ length: 12 }, (_, k): [number, number] => [s.x + margin * Math.cos((k * Math.PI) / 6), s.y + margin * Math.sin((k * Math.PI) / 6)]),
  )
  const edge = convex(points)
  const at = (i: number): [number, number] => edge[(i + edge.length) % edge.length] ?? [0, 0]
  const middle = (a: [number, number], b: [number, number]): string => `${round((a[0] + b[0]) / 2)} ${round((a[1] + b[1]) / 2)}`
  const path = edge.map((p, i) => `${i === 0 ? `M${middle(at(-1), p)}` : ''}Q${round(p[0])} ${round(p[1])} ${middle(p, at(i + 1))}`).join('')
  const top = Math.min(...points.map((p) => p[1]))
  const x = spots.reduce((sum, s) => sum + s.x, 0) / Math.max(1, spots.length)
  return { zone, path: `${path}Z`, label: { x: round(x), y: round(top - 5) } }
}

/** The convex hull, by Andrew's monotone chain. */
export function convex(points: readonly [number, number][]): [number, number][] {
  const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1])
  const half = (list: readonly [number, number][]): [number, number][] => {
    const out: [number, number][] = []
    for (const p of list) {
      for (;;) {
        const [a, b] = [out.at(-2), out.at(-1)]
        if (!a || !b || (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) > 0) break
        out.pop()
      }
      out.push(p)
    }
    return out.slice(0, -1)
  }
  return sorted.length < 3 ? sorted : [...half(sorted), ...half(sorted.reverse())]
}

function boxOf(spots: readonly Spot[], margin: number): Layout['box'] {
  const xs = spots.map((s) => s.x)
  const ys = spots.map((s) => s.y)
  const [x, y] = [Math.min(0, ...xs) - margin, Math.min(0, ...ys) - margin]
  return { x: round(x), y: round(y), width: round(Math.max(0, ...xs) + margin - x), height: round(Math.max(0, ...ys) + margin - y) }
}

const round = (n: number): number => Math.round(n * 10) / 10
