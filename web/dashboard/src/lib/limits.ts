// Limits of bandwidth between what a person types and what the peer keeps. Pure.
import type { HourLimit, Limits } from './api'
import { rate } from './format'

export const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
export type Day = (typeof days)[number]

export const dayNames: Record<Day, string> = {
  mon: 'Monday', tue: 'Tuesday', wed: 'Wednesday', thu: 'Thursday', fri: 'Friday', sat: 'Saturday', sun: 'Sunday',
}

const least = 1024
const most = 2 ** 40

/** What was typed for a rate: bytes per second, 0 without a limit, or what is wrong with it. */
export function parseRate(text: string): { bps: number; wrong: string } {
  const wrong = (why: string): { bps: number; wrong: string } => ({ bps: 0, wrong: why })
  const t = text.trim()
  if (t === '' || /^(0|no limit|none)$/i.test(t)) return { bps: 0, wrong: '' }
  const m = /^(\d+(?:[.,]\d+)?)\s*([kmg]?)(i?)(b|bit|bits)?(?:\/s|ps)?$/i.exec(t)
  if (m === null) return wrong('Write a rate such as 2 MB/s, 500 kB/s or 16 Mbit/s.')
  const [, number = '', scale = '', binary = '', unit = ''] = m
  if (scale === '' && unit === '') return wrong(`Add a unit: ${number} MB/s?`)
  if (unit === 'b') return wrong(`Bytes or bits? Write ${scale}B/s or ${scale}bit/s.`)
  const base = binary === '' ? 1000 : 1024
  const power = { '': 0, k: 1, m: 2, g: 3 }[scale.toLowerCase()] ?? 0
  const value = (Number(number.replace(',', '.')) * base ** power) / (unit.toLowerCase().startsWith('bit') ? 8 : 1)
  const bps = Math.round(value)
  if (bps === 0) return { bps: 0, wrong: '' }
  if (bps < least) return wrong('The least is 1.1 kB/s; leave the field empty for no limit.')
  if (bps > most) return wrong('That is more than can be set; leave the field empty for no limit.')
  return { bps, wrong: '' }
}

/** A rate as it would be typed, without rounding; '' for no limit. */
export function rateText(bps: number): string {
  if (bps <= 0) return ''
  for (const [size, unit] of [[1e9, 'GB/s'], [1e6, 'MB/s'], [1e3, 'kB/s']] as const) {
    if (bps >= size && (bps * 1000) % size === 0) return `${bps / size} ${unit}`
  }
  return `${bps} B/s`
}

export interface HourDraft {
  key: number
  days: Day[] // none: every day
  from: string
  to: string // 00:00 is the end of the day
  up: string
  down: string
}

export interface PeerDraft {
  key: number
  id: string
  up: string
  down: string
}

/** The limits as a form has them. */
export interface Draft {
  up: string
  down: string
  hours: HourDraft[]
  peers: PeerDraft[]
}

let keys = 0
export const newHour = (): HourDraft => ({ key: ++keys, days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:00', to: '18:00', up: '', down: '' })
export const newPeer = (): PeerDraft => ({ key: ++keys, id: '', up: '', down: '' })

export function draftOf(l: Limits): Draft {
  return {
    up: rateText(l.up),
    down: rateText(l.down),
    hours: l.hours.map((h) => ({
      key: ++keys, days: h.days.length === 7 ? [] : [...h.days], from: h.from, to: h.to === '24:00' ? '00:00' : h.to, up: rateText(h.up), down: rateText(h.down),
    })),
    peers: l.peers.map((p) => ({ key: ++keys, id: p.peer_id, up: rateText(p.up), down: rateText(p.down) })),
  }
}

/** What is sent to the peer: without what it only tells. */
export type Wanted = Pick<Limits, 'up' | 'down' | 'hours' | 'peers'>

export const wantedOf = (l: Limits): Wanted => ({ up: l.up, down: l.down, hours: l.hours, peers: l.peers })

/** What a form means, and what is wrong with it: by field, such as 'up' or 'hour 3 to', with the row's key. */
export function read(d: Draft): { wanted: Wanted; wrong: Record<string, string> } {
  const wrong: Record<string, string> = {}
  const number = (field: string, text: string): number => {
    const r = parseRate(text)
    if (r.wrong) wrong[field] = r.wrong
    return r.bps
  }
  const hours = d.hours.map((h): HourLimit => {
    const to = h.to === '00:00' ? '24:00' : h.to
    if (!/^\d\d:\d\d$/.test(h.from)) wrong[`hour ${h.key} from`] = 'When does it begin?'
    if (!/^\d\d:\d\d$/.test(h.to)) wrong[`hour ${h.key} to`] = 'When does it end?'
    else if (h.from === to) wrong[`hour ${h.key} to`] = 'It ends when it begins. 00:00 to 00:00 is the whole day.'
    return {
      days: days.filter((x) => h.days.includes(x)), from: h.from, to,
      up: number(`hour ${h.key} up`, h.up), down: number(`hour ${h.key} down`, h.down),
    }
  })
  const seen = new Set<string>()
  const peers = d.peers.map((p) => {
    const id = p.id.trim()
    if (!/^[1-9A-Za-z]{20,128}$/.test(id)) wrong[`peer ${p.key} id`] = 'Paste the whole id of the peer.'
    else if (seen.has(id)) wrong[`peer ${p.key} id`] = 'This peer has a limit above.'
    seen.add(id)
    const [up, down] = [number(`peer ${p.key} up`, p.up), number(`peer ${p.key} down`, p.down)]
    if (up === 0 && down === 0 && !wrong[`peer ${p.key} up`] && !wrong[`peer ${p.key} down`]) {
      wrong[`peer ${p.key} up`] = 'Limit at least one direction, or remove the row.'
    }
    return { peer_id: id, up, down }
  })
  return { wanted: { up: number('up', d.up), down: number('down', d.down), hours, peers }, wrong }
}

/** Whether two settings are the same; every day is the same as no day. */
export function same(a: Wanted, b: Wanted): boolean {
  const plain = (w: Wanted): string =>
    JSON.stringify([
      w.up, w.down,
      w.hours.map((h) => [h.days.length === 7 ? '' : [...h.days].sort().join(), h.from, h.to, h.up, h.down]),
      w.peers.map((p) => [p.peer_id, p.up, p.down]),
    ])
  return plain(a) === plain(b)
}

const bound = (bps: number): string => (bps > 0 ? `at most ${rate(bps)}` : 'not limited')

/** What holds now, in one sentence. */
export function effectiveWords(e: Limits['effective']): string {
  if (e.up === 0 && e.down === 0) return 'Now nothing is limited for all peers together.'
  return `Now up ${bound(e.up)}, down ${bound(e.down)}.`
}
