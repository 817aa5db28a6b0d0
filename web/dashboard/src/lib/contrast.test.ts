import { describe, expect, test } from 'vitest'
import css from '../styles/tokens.css?raw'

// Contrast as WCAG 2.2 defines it (relative luminance, success criteria 1.4.3 and 1.4.11).
type Scheme = 'light' | 'dark'

const tokens = new Map<string, Record<Scheme, string>>()
for (const m of css.matchAll(/--([\w-]+):\s*light-dark\((#[0-9a-f]{6}),\s*(#[0-9a-f]{6})\)/g)) {
  tokens.set(m[1] ?? '', { light: m[2] ?? '', dark: m[3] ?? '' })
}

function luminance(hex: string): number {
  const channel = (i: number): number => {
    const c = parseInt(hex.slice(i, i + 2), 16) / 255
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  }
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

function contrast(a: string, b: string): number {
  const [x, y] = [luminance(a), luminance(b)]
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05)
}

function colour(name: string, scheme: Scheme): string {
  const token = tokens.get(name)
  if (token === undefined) throw new Error(`no token --${name}`)
  return token[scheme]
}

const surfaces = ['ground', 'surface', 'hover']
const texts = ['text', 'quiet', 'accent', 'accent-strong', 'ok', 'warn', 'bad']
const pairs: [string, string, number][] = [
  ...texts.flatMap((t) => surfaces.map((s): [string, string, number] => [t, s, 4.5])),
  ['stale', 'surface', 4.5],
  ['stale', 'ground', 4.5],
  ['on-accent', 'accent', 4.5],
  ['on-accent', 'accent-strong', 4.5],
  ['accent', 'accent-soft', 4.5],
  ['text', 'accent-soft', 4.5],
  ['text', 'warn-soft', 4.5],
  ['warn', 'warn-soft', 4.5],
  ['text', 'bad-soft', 4.5],
  ['bad', 'bad-soft', 4.5],
  ['edge', 'surface', 3],
  ...[1, 2, 3, 4, 5, 6].map((i): [string, string, number] => [`series-${i}`, 'surface', 4.5]),
]

describe.each<Scheme>(['light', 'dark'])('%s', (scheme) => {
  test.each(pairs)('%s on %s has a contrast of at least %d', (text, ground, least) => {
    expect(contrast(colour(text, scheme), colour(ground, scheme))).toBeGreaterThanOrEqual(least)
  })
})

test('the measure itself', () => {
  expect(contrast('#000000', '#ffffff')).toBeCloseTo(21, 5)
  expect(contrast('#777777', '#ffffff')).toBeCloseTo(4.48, 2)
})
