import { expect, test } from 'vitest'
import type { Invite } from './api'
import { classesOf, clean, complaint, inviteWords, newDraft, read } from './invites'

const text = `cairninvite1${'q'.repeat(200)}`

test.each([
  [text, text],
  [text.toUpperCase(), text],
  [`  $ cairn join ${text}\n`, text],
  [`> ${text.slice(0, 60)}\r\n> ${text.slice(60)}`, text],
  [`"${text}"`, text],
  ['', ''],
])('an invite in %j', (pasted, want) => expect(clean(pasted)).toBe(want))

test.each([
  [text, ''],
  ['  ', ''],
  ['cairn1qqqsyqcyq', 'This is a ticket'],
  ['hello', 'An invite begins with'],
  [text + text, 'These are two invites'],
  ['cairninvite1qqq', 'cut off'],
])('what is wrong with %j', (pasted, part) => {
  if (part === '') expect(complaint(pasted)).toBe('')
  else expect(complaint(pasted)).toContain(part)
})

const now = Date.parse('2025-11-23T12:00:00Z')
const invite = (o: Partial<Invite>): Invite => ({
  id: 'i', text, role: 'member', coordinator: true, classes: [], uses: 1, used: [], created: '2025-11-23T10:00:00Z', expires: '2025-11-24T10:00:00Z', state: 'open', ...o,
})

test.each<[Partial<Invite>, string]>([
  [{}, 'not used yet, ends in 22 h'],
  [{ uses: 3, used: ['a'] }, '1 of 3 uses, ends in 22 h'],
  [{ state: 'used', used: ['a'] }, 'used'],
  [{ state: 'used', uses: 2, used: ['a', 'b'] }, 'used up: 2 of 2 uses'],
  [{ state: 'expired', expires: '2025-11-23T10:00:00Z' }, 'ended 2 h ago, not used yet'],
  [{ state: 'revoked' }, 'revoked, not used yet'],
])('%j', (o, want) => expect(inviteWords(invite(o), now)).toBe(want))

test('the form asks for what was chosen, and for nothing else', () => {
  expect(read(newDraft())).toEqual({ wrong: {}, request: { role: 'member', expire_seconds: 86_400, uses: 1 } })
  const d = { ...newDraft(), role: 'reader' as const, uses: 3, zone: ' attic ', classes: 'slow, storage slow' }
  expect(read(d).request).toEqual({ role: 'reader', expire_seconds: 86_400, uses: 3, no_coordinator: true, zone: 'attic', classes: ['slow', 'storage'] })
  expect(read({ ...newDraft(), coordinator: false }).request.no_coordinator).toBe(true)
})

test.each([
  [{ uses: 0 }, 'uses'],
  [{ uses: 1001 }, 'uses'],
  [{ uses: 1.5 }, 'uses'],
  [{ for: 'desk' }, 'for'],
  [{ for: `12D3KooW${'a'.repeat(44)}`, uses: 2 }, 'uses'],
  [{ classes: Array.from({ length: 17 }, (_, i) => `c${i}`).join(' ') }, 'classes'],
])('%j is refused at the field %s', (o, field) => expect(Object.keys(read({ ...newDraft(), ...o }).wrong)).toEqual([field]))

test('classes', () => expect(classesOf(' a,b;  c a ')).toEqual(['a', 'b', 'c']))
