import { describe, expect, test } from 'vitest'
import type { Alert, Entry, NetworkStatus, Status, Ticket, Transfer } from './api'
import * as w from './words'

const now = Date.parse('2025-11-23T12:00:00Z')

const status = (store: Partial<Status['store']> = {}): Status => ({
  version: '0', api_version: '1', peer_id: 'p', member_id: 'm', name: 'n', mode: 'up', started: '', addresses: [], peers: 0, transfers: 0, limits: [],
  rates: { down_bps: 0, up_bps: 0, down_total: 0, up_total: 0 },
  store: {
    entries: 3, owned_blocks: 0, owned_bytes: 0, referenced_files: 0, referenced_bytes: 0, free_bytes: 0, reserve_bytes: 0,
    accepting: true, corrupt_blocks: 0, ...store,
  },
})

const transfer = (t: Partial<Transfer> = {}): Transfer => ({
  id: 't', direction: 'download', name: 'a', state: 'active', total: 10, done: 1, resumed: 0, files: 1, bps: 1_500_000, eta_ms: 0,
  sources: [], started: '2025-11-23T11:00:00Z', ...t,
})

const ticket = (t: Partial<Ticket> = {}): Ticket => ({
  id: 'k', text: 'cairn1', entry_id: 'e', created: '2025-11-23T11:00:00Z', downloads: 0, state: 'open', peers: 0, uploaded_bytes: 0, ...t,
})

const entry = (e: Partial<Entry> = {}): Entry => ({
  id: 'e', name: 'holiday.zip', cid: 'b', kind: 'file', size: 1.4 * 1024 ** 3, files: 1, origin: 'share', owned: false,
  visibility: 'private', created: '2025-11-23T11:00:00Z', state: 'ok', tickets: [], ...e,
})

describe('the sentence at the top', () => {
  test.each<[string, Status | null, Transfer[], string, w.Saying]>([
    ['lost', status(), [], 'lost', { tone: 'bad', text: 'Not connected to the peer' }],
    ['starting', null, [], 'connecting', { tone: 'off', text: 'Connecting to the peer' }],
    ['damage', status({ corrupt_blocks: 2 }), [transfer()], 'live', { tone: 'bad', text: '2 damaged blocks found in the store' }],
    ['full', status({ accepting: false, reason: 'only 60 MiB free' }), [], 'live', { tone: 'warn', text: 'Takes nothing new: only 60 MiB free' }],
    ['moving', status(), [transfer(), transfer({ bps: 500_000 }), transfer({ state: 'done' })], 'live', { tone: 'busy', text: '2 transfers running, 2 MB/s' }],
    ['waiting', status(), [transfer({ state: 'waiting' })], 'live', { tone: 'busy', text: '1 transfer waiting' }],
    ['empty', status({ entries: 0 }), [], 'live', { tone: 'ok', text: 'Ready, nothing in the library yet' }],
    ['calm', status(), [], 'live', { tone: 'ok', text: 'Ready, 3 entries in the library' }],
  ])('%s', (_, s, t, phase, want) => expect(w.statusSentence(s, t, phase)).toEqual(want))

  const network = (o: Partial<NetworkStatus> = {}): NetworkStatus => ({
    joined: true, name: 'home', member_id: 'm', self_name: 'desk', state: 'valid', addresses: [], members: 7, administrators: 1, connected: 5, alerts: [], limits: [], ...o,
  })
  const alert = (kind: Alert['kind'], message: string): Alert => ({ kind, message, since: '' })

  test.each<[string, NetworkStatus, w.Saying]>([
    ['members', network(), { tone: 'ok', text: 'In home, 5 of 6 other members connected' }],
    ['alone', network({ members: 1, connected: 0 }), { tone: 'ok', text: 'In home, nobody else yet' }],
    ['an expired peer among others', network({ state: 'expired', reason: 'its certificate ended' }), { tone: 'warn', text: 'Cannot take part in home: its certificate ended' }],
    ['a clone', network({ alerts: [alert('clock', 'slow'), alert('clone', 'nas runs twice')] }), { tone: 'bad', text: 'Nas runs twice' }],
    ['what can wait', network({ alerts: [alert('renewal', 'x')] }), { tone: 'ok', text: 'In home, 5 of 6 other members connected' }],
    ['none', network({ joined: false }), { tone: 'ok', text: 'Ready, 3 entries in the library' }],
  ])('network: %s', (_, n, want) => expect(w.statusSentence(status(), [], 'live', n)).toEqual(want))
})

describe('removal', () => {
  test('of a reference with tickets', () => {
    expect(w.removeWords(entry({ tickets: [ticket(), ticket({ state: 'revoked' })] }))).toEqual({
      title: 'Remove holiday.zip from this peer?',
      text: 'Your own file stays where it is; only the library forgets it. Its open ticket stops working. You can undo this for a few minutes.',
    })
  })
  test('of an owned directory', () => {
    expect(w.removeWords(entry({ owned: true, kind: 'directory' })).text).toBe(
      'The copy that this peer keeps (1.4 GiB) is deleted at the next clean-up. You can undo this for a few minutes.',
    )
  })
})

test.each<[Partial<Ticket>, string]>([
  [{}, '0 downloads, never ends'],
  [{ downloads: 2, max_downloads: 5, expires: '2025-11-24T11:30:00Z' }, '2 of 5 downloads, ends in 23 h'],
  [{ state: 'expired', downloads: 1, expires: '2025-11-23T10:00:00Z' }, 'ended 2 h ago, 1 download'],
  [{ state: 'used', downloads: 1, max_downloads: 1 }, 'used up: 1 of 1 download'],
  [{ state: 'revoked', downloads: 4 }, 'revoked after 4 downloads'],
])('ticket %j', (t, want) => expect(w.ticketWords(ticket(t), now)).toBe(want))

test.each([
  ['/ip4/127.0.0.1/tcp/4748', 'this machine, TCP'],
  ['/ip4/192.168.1.7/udp/4748/quic-v1', 'local network, QUIC'],
  ['/ip4/172.32.0.1/tcp/1', 'internet, TCP'],
  ['/ip4/100.64.0.1/tcp/1', 'provider or overlay network, TCP'],
  ['/ip6/::1/tcp/1', 'this machine, TCP'],
  ['/ip6/fe80::1/tcp/1', 'local network, TCP'],
  ['/ip6/2001:db8::1/udp/1/quic-v1', 'internet, QUIC'],
  ['/dns4/example.org/tcp/1', 'by name, TCP'],
  ['nonsense', ''],
])('%s is %s', (addr, want) => expect(w.addressWords(addr)).toBe(want))

test('transfers: running first, then the newest', () => {
  const list = [
    transfer({ id: 'old', state: 'done', ended: '2025-11-23T11:10:00Z' }),
    transfer({ id: 'new', state: 'failed', ended: '2025-11-23T11:20:00Z' }),
    transfer({ id: 'run', started: '2025-11-23T10:00:00Z' }),
    transfer({ id: 'wait', state: 'waiting', started: '2025-11-23T11:30:00Z' }),
  ]
  expect(list.sort(w.transferOrder).map((t) => t.id)).toEqual(['wait', 'run', 'new', 'old'])
})

test('shares', () => {
  expect(w.shares([])).toEqual([])
  expect(w.shares([0, 0])).toEqual([0, 0])
  expect(w.shares([1, 3])).toEqual([25, 75])
})

const source = (s: Partial<Transfer['sources'][number]> = {}): Transfer['sources'][number] => ({
  peer_id: 'p', role: 'source', address: '/ip4/192.168.1.7/tcp/1', transport: 'tcp', partial: false, have: 1, bytes: 0, bps: 0, state: 'active', ...s,
})

test('what the other side is and holds', () => {
  expect(w.gives(source())).toBe(true)
  expect(w.gives(source({ role: 'downloader' }))).toBe(false)
  expect(w.holdsWords(source())).toBe('all of it')
  expect(w.holdsWords(source({ have: 0 }))).toBe('not known')
  expect(w.holdsWords(source({ have: 0, partial: true }))).toBe('nothing yet')
  expect(w.holdsWords(source({ have: 0.001, partial: true }))).toBe('1 %')
  expect(w.holdsWords(source({ have: 0.999 }))).toBe('99 %')
  expect(w.connectionWords(source({ why: 'QUIC: TCP did not answer' }))).toBe('QUIC: TCP did not answer')
  expect(w.connectionWords(source())).toBe('TCP, local network')
  expect(w.connectionWords(source({ address: '', transport: 'quic-v1' }))).toBe('QUIC')
})

test('trouble is named', () => {
  expect(w.entryTrouble(entry())).toBe('')
  expect(w.entryTrouble(entry({ state: 'missing' }))).toContain('not where it was')
  expect(w.entryTrouble(entry({ state: 'changed' }))).toContain('changed')
})
