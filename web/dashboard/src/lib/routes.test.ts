import { expect, test } from 'vitest'
import { loginCode, parse, to, type Route } from './routes'

const at = (address: string): Route => parse(new URL(address, 'http://localhost'))

test.each<[string, Route]>([
  ['/', { page: 'overview' }],
  ['/library', { page: 'library', q: '' }],
  ['/library/?q=a+b', { page: 'library', q: 'a b' }],
  ['/library/e1', { page: 'entry', id: 'e1', path: '' }],
  ['/transfers/t1', { page: 'transfer', id: 't1' }],
  ['/network/12D3', { page: 'peer', id: '12D3' }],
  ['/members/12D3', { page: 'member', id: '12D3' }],
  ['/members', { page: 'network' }],
  ['/audit', { page: 'audit' }],
  ['/audit/1', { page: 'unknown' }],
  ['/settings', { page: 'settings' }],
  ['/settings/more', { page: 'unknown' }],
  ['/library/a/b', { page: 'unknown' }],
  ['/library/%E0%A4%A', { page: 'unknown' }],
  ['/nowhere', { page: 'unknown' }],
])('%s', (address, want) => expect(at(address)).toEqual(want))

test.each([
  ['x', 'photos/ä & b?.jpg'],
  ['a/b#c%', ''],
])('an entry address leads back to the entry (%s)', (id, path) => {
  expect(at(to.entry(id, path))).toEqual({ page: 'entry', id, path })
})

test('a search keeps its words', () => {
  expect(at(to.library('50% & more'))).toEqual({ page: 'library', q: '50% & more' })
})

test.each([
  ['#login=7ZKQ-0M4T-XP9B', '7ZKQ-0M4T-XP9B'],
  ['#login=7ZKQ%200M4T', '7ZKQ 0M4T'],
  ['#login=', ''],
  ['#login=%E0%A4%A', ''],
  [`#login=${'A'.repeat(65)}`, ''],
  ['#other', ''],
  ['', ''],
])('login code of %s', (hash, want) => expect(loginCode(hash)).toBe(want))
