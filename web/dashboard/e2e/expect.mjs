// The few comparisons that the test needs.
const show = (v) => (typeof v === 'string' && v.length > 300 ? `${v.slice(0, 300)}…` : JSON.stringify(v))

export function expect(got) {
  const check = (ok, text) => {
    if (!ok) throw new Error(`got ${show(got)}, ${text}`)
  }
  return {
    toBe: (want) => check(Object.is(got, want), `want ${show(want)}`),
    toContain: (part) => check(got.includes(part), `want ${show(part)} in it`),
    notToContain: (part) => check(!got.includes(part), `do not want ${show(part)} in it`),
    toMatch: (pattern) => check(pattern.test(got), `want a match of ${pattern}`),
    toBeBelow: (limit) => check(got < limit, `want less than ${limit}`),
    toBeAbove: (limit) => check(got > limit, `want more than ${limit}`),
  }
}
