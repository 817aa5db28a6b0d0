import { expect, test } from 'vitest'
import type { Member } from './api'
import { belongs, choose, expiryWords, issuedBy, memberTone, memberWord, nameList, roundTrip, seenWords, standingHint } from './members'

const now = Date.parse('2025-11-23T12:00:00Z')
const connection = { address: '/ip4/1.2.3.4/tcp/1', direction: 'inbound', transport: 'tcp', since: '', rtt_ms: 3.14, up_bps: 0, down_bps: 0 } as const
const member = (name: string, o: Partial<Member> = {}): Member => ({
  id: `id-${name}`, name, self: false, role: 'member', classes: [], coordinator: true, state: 'valid', cloned: false, ...o,
})

test.each<[Partial<Member>, string, string]>([
  [{ self: true }, 'this peer', 'ok'],
  [{ connection }, 'connected', 'ok'],
  [{}, 'away', 'off'],
  [{ connection, cloned: true }, 'runs twice', 'bad'],
  [{ state: 'expired' }, 'expired', 'warn'],
  [{ state: 'early' }, 'not valid yet', 'warn'],
  [{ state: 'suspended' }, 'suspended', 'warn'],
  [{ state: 'revoked' }, 'revoked', 'off'],
  [{ state: 'left' }, 'left', 'off'],
])('%j is %s', (o, word, tone) => {
  expect([memberWord(member('a', o)), memberTone(member('a', o))]).toEqual([word, tone])
})

test('who was revoked, left or is void does not belong', () => {
  const states = ['valid', 'early', 'expired', 'suspended', 'void', 'revoked', 'left'] as const
  expect(states.filter((state) => belongs(member('a', { state })))).toEqual(['valid', 'early', 'expired', 'suspended'])
})

const names = (list: Member[]): string => list.map((m) => m.name).join(' ')
const all = [
  member('zoe', { zone: 'attic', connection: { ...connection, rtt_ms: 1 } }),
  member('me', { self: true, zone: 'study', role: 'admin' }),
  member('gone', { state: 'revoked' }),
  member('desk10', { classes: ['storage'], connection }),
  member('desk9', { zone: 'study', role: 'reader', state: 'expired', version: '0.1.0' }),
]

test.each<[string, Parameters<typeof choose>[2], boolean, string]>([
  ['', 'name', false, 'me desk9 desk10 zoe gone'],
  ['', 'name', true, 'me zoe desk10 desk9 gone'],
  ['', 'rtt', false, 'me zoe desk10 desk9 gone'],
  ['', 'zone', false, 'me zoe desk9 desk10 gone'],
  ['', 'state', false, 'me desk10 zoe desk9 gone'],
  ['STUDY', 'name', false, 'me desk9'],
  ['study reader', 'name', false, 'desk9'],
  ['storage', 'name', false, 'desk10'],
  ['revoked', 'name', false, 'gone'],
  ['nothing like it', 'name', false, ''],
])('filter %j by %s, down %s', (q, order, down, want) => expect(names(choose(all, q, order, down))).toBe(want))

test('the list that came stays as it was', () => {
  const before = names(all)
  choose(all, '', 'rtt', true)
  expect(names(all)).toBe(before)
})

test('what is measured', () => {
  expect(roundTrip(member('a', { connection }))).toBe('3.1 ms')
  expect(roundTrip(member('a', { connection: { ...connection, rtt_ms: 31.4 } }))).toBe('31 ms')
  expect(roundTrip(member('a', { connection: { ...connection, rtt_ms: 0 } }))).toBe('')
  expect(seenWords(member('a', { last_seen: '2025-11-23T09:00:00Z' }), now)).toBe('3 h ago')
  expect(seenWords(member('a'), now)).toBe('never')
  expect(seenWords(member('a', { connection }), now)).toBe('now')
})

test.each([
  ['2025-11-28T12:00:00Z', 'expires in 5 days', 'ok'],
  ['2025-11-24T12:00:00Z', 'expires in 1 day', 'warn'],
  ['2025-11-23T10:00:00Z', 'expired 2 h ago', 'bad'],
  [undefined, 'not known', 'ok'],
])('a certificate until %s', (at, text, tone) => expect(expiryWords(at, now)).toEqual({ text, tone }))

test('who ends with an administrator', () => {
  const list = [
    member('admin', { issued_by: 'id-admin' }),
    member('a', { issued_by: 'id-admin' }),
    member('b', { issued_by: 'id-other' }),
    member('c', { issued_by: 'id-admin', state: 'revoked' }),
  ]
  expect(names(issuedBy('id-admin', list))).toBe('a')
})

test.each([
  [[], ''],
  [['a'], 'a'],
  [['a', 'b'], 'a and b'],
  [['a', 'b', 'c', 'd'], 'a, b, c and d'],
  [['a', 'b', 'c', 'd', 'e'], 'a, b, c and 2 others'],
])('the names %j', (list, want) => expect(nameList(list.map((name) => ({ name })))).toBe(want))

test('a peer that cannot take part is told what to do', () => {
  expect(standingHint('valid')).toBe('')
  expect(standingHint(undefined)).toBe('')
  for (const state of ['revoked', 'void', 'left', 'expired', 'early', 'suspended']) expect(standingHint(state)).not.toBe('')
})
