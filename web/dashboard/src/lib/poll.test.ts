import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ApiError } from './client'
import { Poll } from './poll.svelte'

class Page extends EventTarget {
  hidden = false
  show(on: boolean): void {
    this.hidden = !on
    this.dispatchEvent(new Event('visibilitychange'))
  }
}

let page: Page
beforeEach(() => {
  vi.useFakeTimers()
  page = new Page()
  vi.stubGlobal('document', page)
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

const later = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

test('asks every second until it is stopped', async () => {
  let n = 0
  const p = new Poll<number>()
  const stop = p.start(async () => ++n, 1000)
  await later(3500)
  expect([n, p.value]).toEqual([4, 4])
  stop()
  await later(5000)
  expect(n).toBe(4)
})

test('asks once for what does not change any more', async () => {
  let n = 0
  const p = new Poll<number>()
  p.start(async () => ++n, 0)
  await later(10_000)
  expect([n, p.value]).toEqual([1, 1])
})

test('rests while nobody looks', async () => {
  let n = 0
  page.hidden = true
  const stop = new Poll<number>().start(async () => ++n, 1000)
  await later(5000)
  expect(n).toBe(0)
  page.show(true)
  await later(1500)
  expect(n).toBe(2)
  page.show(false)
  await later(60_000)
  expect(n).toBe(2)
  page.show(true)
  await later(500)
  expect(n).toBe(3)
  stop()
})

test('after a failure the old value stays, the failure is told, and it asks more seldom', async () => {
  let n = 0
  const p = new Poll<number>()
  const stop = p.start(async () => {
    n++
    if (n > 1 && n < 4) throw new ApiError(503, { code: 'unavailable', message: 'x' })
    return n
  }, 1000)
  await later(1500)
  expect([p.value, p.error?.code, n]).toEqual([1, 'unavailable', 2])
  await later(1000)
  expect(n).toBe(2)
  await later(6000)
  expect([p.value, p.error]).toEqual([n, null])
  stop()
})

test('what the peer does not know is not asked for again', async () => {
  let n = 0
  const p = new Poll<number>()
  p.start(async () => {
    n++
    throw new ApiError(404, { code: 'not_found', message: 'x' })
  }, 1000)
  await later(20_000)
  expect(n).toBe(1)
})

test('an answer that does not come is given up', async () => {
  const p = new Poll<number>()
  const stop = p.start((signal) => new Promise((_, no) => signal.addEventListener('abort', () => no(new DOMException('', 'AbortError')))), 1000)
  await later(10_500)
  expect(p.error?.code).toBe('unavailable')
  stop()
})

test('an answer after the stop changes nothing', async () => {
  const p = new Poll<number>()
  let answer: (n: number) => void = () => undefined
  const stop = p.start(() => new Promise((yes) => (answer = yes)), 1000)
  await later(0)
  stop()
  answer(7)
  await later(10)
  expect(p.value).toBeNull()
})
