// Rates over time, as the peer keeps them. Pure.
import type { RateHistory, RateSeries } from './api'

export const windows = [
  ['1m', '1 min', 60, 60],
  ['1h', '1 h', 60, 3600],
  ['1d', '1 day', 96, 86_400],
] as const

export type Window = (typeof windows)[number][0]

/** The newest n values, oldest first; null where nothing was measured yet. */
export function columns(values: readonly number[], n: number): (number | null)[] {
  const out = new Array<number | null>(n).fill(null)
  const from = Math.max(0, values.length - n)
  for (let i = from; i < values.length; i++) out[n - values.length + i] = values[i] ?? null
  return out
}

/** All series of a direction together; they end at the same moment. */
export function together(h: RateHistory, direction: RateSeries['direction']): number[] {
  const list = h.series.filter((s) => s.direction === direction)
  const n = list.reduce((m, s) => Math.max(m, s.bps.length), 0)
  const out = new Array<number>(n).fill(0)
  for (const s of list) s.bps.forEach((v, i) => (out[n - s.bps.length + i] = (out[n - s.bps.length + i] ?? 0) + v))
  return out
}

export const peak = (values: readonly (number | null)[]): number => values.reduce<number>((m, v) => Math.max(m, v ?? 0), 0)
