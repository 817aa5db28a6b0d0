import { expect, test } from 'vitest'
import { runs } from './spark'

test.each([
  [[], []],
  [[null, null], []],
  [[1, 2, 3], [[0, 3]]],
  [[null, 1, null, 2, 3], [[1, 2], [3, 5]]],
  [[0, null], [[0, 1]]],
])('the unbroken stretches of %j', (values, want) => expect(runs(values)).toEqual(want))
