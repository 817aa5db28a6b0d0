// A value that is asked for again and again, for as long as somebody looks at the page.
import { asError, noAnswer, type ApiError } from './client'

const patience = 10_000 // ms for an answer

export class Poll<T> {
  value = $state.raw<T | null>(null)
  error = $state.raw<ApiError | null>(null)
  /** When the value came, in ms; 0: never. */
  at = $state(0)

  /**
   * Asks at once and then every so many milliseconds, until the function that it returns is called. 0: until there is
   * one answer. After a failure it asks again, ever more seldom; not when the peer knows no such thing.
   */
  start(ask: (signal: AbortSignal) => Promise<T>, every: number): () => void {
    const abort = new AbortController()
    void this.#run(ask, every, abort)
    return () => abort.abort()
  }

  /** Forgets the value: another thing is asked for. */
  clear(): void {
    this.value = this.error = null
    this.at = 0
  }

  async #run(ask: (signal: AbortSignal) => Promise<T>, every: number, abort: AbortController): Promise<void> {
    let failures = 0
    while (!abort.signal.aborted) {
      await visible(abort.signal)
      if (abort.signal.aborted) return
      const began = Date.now()
      try {
        const value = await within(ask, abort.signal)
        if (abort.signal.aborted) return
        this.value = value
        this.error = null
        this.at = Date.now()
        failures = 0
        if (every === 0) return
      } catch (err) {
        if (abort.signal.aborted) return
        this.error = asError(err)
        if (this.error.code === 'not_found') return
        failures++
      }
      const pause = failures > 0 ? Math.min(8000, 1000 * 2 ** failures) : every
      await sleep(Math.max(100, pause - (Date.now() - began)), abort.signal)
    }
  }
}

async function within<T>(ask: (signal: AbortSignal) => Promise<T>, outer: AbortSignal): Promise<T> {
  const inner = new AbortController()
  let late = false
  const end = (): void => inner.abort()
  const timer = setTimeout(() => {
    late = true
    end()
  }, patience)
  outer.addEventListener('abort', end, { once: true })
  try {
    return await ask(inner.signal)
  } catch (err) {
    throw late ? noAnswer() : err
  } finally {
    clearTimeout(timer)
    outer.removeEventListener('abort', end)
  }
}

function visible(signal: AbortSignal): Promise<void> {
  if (!document.hidden) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      if (document.hidden && !signal.aborted) return
      document.removeEventListener('visibilitychange', done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    document.addEventListener('visibilitychange', done)
    signal.addEventListener('abort', done)
  })
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms)
    function done(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    signal.addEventListener('abort', done)
  })
}
