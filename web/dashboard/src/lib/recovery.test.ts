import { expect, test } from 'vitest'
import { places, printed, same, wordsOf } from './recovery'

test('words', () => expect(wordsOf('  one two\n three ')).toEqual(['one', 'two', 'three']))

test('one word of each third is asked for', () => {
  for (const chance of [0, 0.5, 0.999999]) {
    const got = places(24, () => chance)
    expect(got.map((p) => Math.floor(p / 8))).toEqual([0, 1, 2])
  }
  expect(places(2, () => 0)).toEqual([0, 1])
})

test('a word is as it is, whatever its case', () => {
  expect(same(' Amber ', 'amber')).toBe(true)
  expect(same('ambers', 'amber')).toBe(false)
  expect(same('', undefined)).toBe(false)
})

test('on paper', () => expect(printed('home', 'a b c d e f g')).toBe('Recovery words of the Cairn network home\n\n1. a   2. b   3. c   4. d   5. e   6. f\n7. g\n'))
