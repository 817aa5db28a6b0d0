import { expect, test } from 'vitest'
import type { Entry, NetworkStatus, Status, Transfer } from '../lib/api'
import { needs } from './needs'

const now = Date.parse('2025-11-23T12:00:00Z')
const calm = { store: { corrupt_blocks: 0, accepting: true } } as Status
const entry = (id: string, state: Entry['state']): Entry => ({ id, name: `${id}.zip`, state }) as Entry
const failed = (id: string, ended: string, direction: Transfer['direction'] = 'download'): Transfer =>
  ({ id, name: id, direction, state: 'failed', reason: 'the source vanished', ended, started: ended }) as Transfer

test('nothing', () => {
  expect(needs(null, [], [], now)).toEqual([])
  expect(needs(calm, [entry('a', 'ok')], [failed('old', '2025-11-20T12:00:00Z'), failed('theirs', '2025-11-23T11:00:00Z', 'upload')], now)).toEqual([])
})

test('everything, the worst first', () => {
  const bad = { store: { corrupt_blocks: 2, accepting: false, reason: 'only 60 MiB free' } } as Status
  const got = needs(bad, [entry('a', 'missing')], [failed('t', '2025-11-23T11:00:00Z')], now)
  expect(got.map((n) => [n.tone, n.title, n.href])).toEqual([
    ['bad', '2 damaged blocks in the store', '/settings'],
    ['bad', 't failed', '/transfers/t'],
    ['warn', 'The store takes nothing new', '/settings'],
    ['warn', 'a.zip is missing', '/library/a'],
  ])
  expect(got[1]?.text).toBe('The source vanished')
})

test('a network says what is wrong with it, and its words are not lost in silence', () => {
  const n = {
    name: 'home',
    alerts: [
      { kind: 'renewal', member_id: 'c', message: 'camera has expired', since: '' },
      { kind: 'clone', message: 'two machines are one', hint: 'stop one', since: '' },
    ],
  } as unknown as NetworkStatus
  expect(needs(calm, [], [], now, n, true).map((x) => [x.tone, x.title, x.text, x.href])).toEqual([
    ['bad', 'The recovery words of home are not kept yet', 'They are shown once, and this page is the only place that still has them. Write them down.', '/network'],
    ['bad', 'Two machines are one', 'Stop one.', '/network'],
    ['warn', 'Camera has expired', 'The page of the network says more.', '/members/c'],
  ])
})
