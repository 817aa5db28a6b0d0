// A value that is fetched: what is there, whether more is coming, what went wrong.
import { aborted, asError, type ApiError } from './client'

export class Loader<T> {
  value = $state.raw<T | null>(null)
  error = $state.raw<ApiError | null>(null)
  loading = $state(false)
  #abort: AbortController | null = null

  /** Fetches anew. Of several runs the last one counts. */
  async run(f: (signal: AbortSignal) => Promise<T>): Promise<void> {
    this.#abort?.abort()
    const abort = new AbortController()
    this.#abort = abort
    this.loading = true
    try {
      const value = await f(abort.signal)
      if (abort.signal.aborted) return
      this.value = value
      this.error = null
    } catch (err) {
      if (abort.signal.aborted || aborted(err)) return
      this.error = asError(err)
    } finally {
      if (this.#abort === abort) this.loading = false
    }
  }

  stop(): void {
    this.#abort?.abort()
  }
}
