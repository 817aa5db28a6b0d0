import { expect, test } from 'vitest'
import { Palette } from './palette'

test('a peer keeps its letter and colour', () => {
  const p = new Palette()
  expect(p.mark('x')).toEqual({ letter: 'A', colour: 1, again: false })
  expect(p.mark('y')).toEqual({ letter: 'B', colour: 2, again: false })
  expect(p.mark('x').letter).toBe('A')
  for (let i = 0; i < 4; i++) p.mark(`p${i}`)
  expect(p.mark('z')).toEqual({ letter: 'G', colour: 1, again: true })
})

test('letters go on after Z', () => {
  const p = new Palette()
  for (let i = 0; i < 26; i++) p.mark(`p${i}`)
  expect(p.mark('a').letter).toBe('AA')
  expect(p.mark('b').letter).toBe('AB')
})
