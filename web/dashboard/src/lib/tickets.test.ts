import { expect, test } from 'vitest'
import { complaint, split } from './tickets'

test.each([
  ['', []],
  ['  \n', []],
  ['cairn1abc', ['cairn1abc']],
  ['  CAIRN1ab\n  cd ef ', ['CAIRN1abcdef']],
  ['> cairn1ab\n> cd', ['cairn1abcd']],
  ['cairn1aa cairn1bb\ncairn1cc', ['cairn1aa', 'cairn1bb', 'cairn1cc']],
  ['"cairn1aa","cairn1bb"', ['cairn1aa', 'cairn1bb']],
  ['$ cairn get cairn1aa', ['cairn1aa']],
])('split %j', (text, want) => expect(split(text)).toEqual(want))

test('complaints', () => {
  expect(complaint('')).toBe('')
  expect(complaint('cairn1aa')).toBe('')
  expect(complaint('cairn2aa')).toBe('') // a newer ticket: the peer says so better
  expect(complaint('hello')).toContain('begins with')
  expect(complaint('cairn1a '.repeat(17))).toContain('16')
})
