// Members of a network in words and in order. Pure.
import type { Member } from './api'
import { count, duration, relative } from './format'
import { transportWord, type Tone } from './words'

const roles: Record<Member['role'], string> = { admin: 'Administrator', member: 'Member', reader: 'Reader' }

export const roleWord = (role: string | undefined): string => roles[role as Member['role']] ?? 'Member'

export const roleHelp: Record<Member['role'], string> = {
  admin: 'may do everything a member may, invite others and revoke members',
  member: 'stores, fetches and shares with the network',
  reader: 'fetches what the network shares, and adds nothing to it',
}

const states: Record<Member['state'], string> = {
  valid: 'valid',
  early: 'not valid yet',
  expired: 'expired',
  void: 'void',
  revoked: 'revoked',
  suspended: 'suspended',
  left: 'left',
}

/** Whether somebody belongs to the network, if only for want of a renewal. */
export const belongs = (m: Member): boolean => m.state === 'valid' || m.state === 'early' || m.state === 'expired' || m.state === 'suspended'

/** How a member is doing, in a word or two. */
export function memberWord(m: Member): string {
  if (m.cloned) return 'runs twice'
  if (m.state !== 'valid') return states[m.state]
  return m.self ? 'this peer' : m.connection ? 'connected' : 'away'
}

export function memberTone(m: Member): Tone {
  if (m.cloned) return 'bad'
  if (m.state === 'valid') return m.self || m.connection ? 'ok' : 'off'
  return m.state === 'expired' || m.state === 'early' || m.state === 'suspended' ? 'warn' : 'off'
}

/** TCP, QUIC, '' while it is not connected. */
export const connectionWord = (m: Member): string => (m.connection ? transportWord(m.connection.transport) : '')

export function roundTrip(m: Member): string {
  const ms = m.connection?.rtt_ms ?? 0
  if (ms <= 0) return ''
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
}

/** When it was there last; now in milliseconds. */
export function seenWords(m: Member, now: number): string {
  if (m.self || m.connection) return 'now'
  return m.last_seen ? relative(Date.parse(m.last_seen), now) : 'never'
}

/** What to do when this peer itself cannot take part; '' when it can. */
export function standingHint(state: string | undefined): string {
  switch (state) {
    case 'revoked':
    case 'void':
    case 'left':
      return 'It never returns under this identity. Leave the network, and join again with a new invite; what is stored here stays.'
    case 'expired':
      return 'Its certificate is renewed as soon as it meets an administrator: see that one is up and can be reached.'
    case 'early':
      return 'A clock is wrong, here or at the administrator who issued the certificate: compare them.'
    case 'suspended':
      return 'Administrators have revoked each other. The recovery words settle it: `cairn network recover`.'
  }
  return ''
}

/** How long a certificate still holds. It is renewed daily, so that less than two days are worth a word. */
export function expiryWords(expires: string | undefined, now: number): { text: string; tone: 'ok' | 'warn' | 'bad' } {
  if (!expires) return { text: 'not known', tone: 'ok' }
  const left = Date.parse(expires) - now
  if (left <= 0) return { text: `expired ${relative(Date.parse(expires), now)}`, tone: 'bad' }
  return { text: `expires in ${duration(left)}`, tone: left < 48 * 3600 * 1000 ? 'warn' : 'ok' }
}

export type Order = 'name' | 'role' | 'zone' | 'state' | 'rtt' | 'version' | 'seen'

const rank = { role: { admin: 0, member: 1, reader: 2 }, state: { ok: 0, busy: 0, off: 1, warn: 2, bad: 3 } }

/** Which members to show, and in which order: this peer first, those that left or were revoked last. */
export function choose(list: readonly Member[], q: string, order: Order, down: boolean): Member[] {
  const parts = q.toLowerCase().split(/\s+/).filter(Boolean)
  const found = parts.length === 0 ? [...list] : list.filter((m) => parts.every((p) => text(m).includes(p)))
  const by = compare(order)
  const way = down ? -1 : 1
  return found.sort((a, b) => Number(b.self) - Number(a.self) || Number(belongs(b)) - Number(belongs(a)) || way * by(a, b) || names(a, b))
}

/** What the filter looks through. */
function text(m: Member): string {
  return [m.name, m.id, roleWord(m.role), m.zone, ...m.classes, memberWord(m), connectionWord(m), m.version].filter(Boolean).join(' ').toLowerCase()
}

const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' })
const names = (a: Member, b: Member): number => collator.compare(a.name, b.name)

function compare(order: Order): (a: Member, b: Member) => number {
  // What is not known comes last whichever way the rest goes.
  const number = (of: (m: Member) => number) => (a: Member, b: Member) => of(a) - of(b)
  switch (order) {
    case 'name':
      return names
    case 'role':
      return number((m) => rank.role[m.role])
    case 'zone':
      return (a, b) => collator.compare(a.zone ?? '\uffff', b.zone ?? '\uffff')
    case 'state':
      return number((m) => rank.state[memberTone(m)])
    case 'rtt':
      return number((m) => (m.self ? 0 : (m.connection?.rtt_ms ?? Number.MAX_SAFE_INTEGER)))
    case 'version':
      return (a, b) => collator.compare(b.version ?? '', a.version ?? '')
    case 'seen':
      return number((m) => (m.self || m.connection ? 0 : -Date.parse(m.last_seen ?? '1970-01-01')))
  }
}

/** The members whose certificates an administrator stands behind, and that would end with it. */
export const issuedBy = (id: string, list: readonly Member[]): Member[] => list.filter((m) => m.issued_by === id && m.id !== id && belongs(m))

/** Some names as a list: nas, desk and 3 others. */
export function nameList(list: readonly { name: string }[], most = 4): string {
  const shown = list.length > most ? list.slice(0, most - 1) : list
  const rest = list.length - shown.length
  const parts = [...shown.map((m) => m.name), ...(rest > 0 ? [count(rest, 'other')] : [])]
  return parts.length < 2 ? (parts[0] ?? '') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`
}
