import { expect, test } from 'vitest'
import type { AuditRecord, Member } from './api'
import { about, actionWord, actorWord, search } from './audit'

const list: AuditRecord[] = [
  { id: 3, time: '', actor: 'session', action: 'member.revoke', subject: 'id-nas', outcome: 'done', detail: 'lost' },
  { id: 2, time: '', actor: 'id-desk', action: 'invite.redeem', outcome: 'done', from: '192.168.1.7' },
  { id: 1, time: '', actor: 'token backup', action: 'config.set', subject: 'http', outcome: 'denied' },
]
const ids = (l: AuditRecord[]): number[] => l.map((r) => r.id)

test('words', () => {
  expect(actionWord('member.revoke')).toBe('revoked')
  expect(actionWord('thing.turn')).toBe('thing turn')
  const name = (id: string): string => (id === 'id-desk' ? 'desk' : '')
  expect(['local', 'session', 'token backup', 'id-desk', '12D3'].map((a) => actorWord(a, name))).toEqual([
    'A command on this machine', 'A browser', 'Token backup', 'desk', '12D3',
  ])
})

test('about a member', () => {
  expect(ids(about(list, { id: 'id-nas', name: 'nas' } as Member))).toEqual([3])
  expect(ids(about(list, { id: 'id-desk', name: 'desk' } as Member))).toEqual([2])
})

test.each([
  ['', [3, 2, 1]],
  ['REVOKED lost', [3]],
  ['192.168', [2]],
  ['denied', [1]],
  ['nobody', []],
])('search %j', (q, want) => expect(ids(search(list, q))).toEqual(want))
