import { expect, test } from 'vitest'
import type { Entry, Status, Transfer } from '../lib/api'
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
