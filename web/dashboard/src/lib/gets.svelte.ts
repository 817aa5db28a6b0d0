// Objects on their way into the peer's download folder because this page asked for them. The work ends with the
// page that asked; what had arrived is taken up when the ticket is given again.
import type { GetResult, Progress } from './api'
import { aborted, asError, work, type ApiError } from './client'
import { bytes, duration, rate } from './format'
import { toasts } from './toasts.svelte'

/** More at once would use up the connections that browsers allow to one server. */
const atOnce = 2

export class Get {
  state = $state<'waiting' | 'active' | 'failed'>('waiting')
  progress = $state.raw<Progress | null>(null)
  warnings = $state.raw<string[]>([])
  error = $state.raw<ApiError | null>(null)
  readonly abort = new AbortController()

  constructor(
    readonly id: number,
    readonly tickets: string[],
  ) {}
}

class Gets {
  list = $state.raw<Get[]>([])
  #last = 0

  add(tickets: string[]): void {
    this.list = [...this.list, new Get(++this.#last, tickets)]
    this.#next()
  }

  dismiss(g: Get): void {
    g.abort.abort()
    this.list = this.list.filter((x) => x !== g)
    this.#next()
  }

  again(g: Get): void {
    this.dismiss(g)
    this.add(g.tickets)
  }

  #next(): void {
    const active = this.list.filter((g) => g.state === 'active')
    if (active.length === 0) removeEventListener('beforeunload', stay)
    if (active.length >= atOnce) return
    const g = this.list.find((x) => x.state === 'waiting')
    if (!g) return
    g.state = 'active'
    addEventListener('beforeunload', stay)
    void this.#run(g)
    this.#next()
  }

  async #run(g: Get): Promise<void> {
    try {
      const r = await work<Progress, GetResult>('/v1/gets', { tickets: g.tickets }, {
        progress: (p) => (g.progress = p),
        warning: (w) => (g.warnings = [...g.warnings.slice(-99), w]),
        signal: g.abort.signal,
      })
      const speed = r.fetched > 0 && r.ms > 0 ? `, ${rate((r.fetched / r.ms) * 1000)}` : ''
      const name = r.path || 'The object'
      toasts.done(`${name} is in the download folder (${bytes(r.size)} in ${duration(r.ms)}${speed}).`)
      this.dismiss(g)
    } catch (err) {
      if (g.abort.signal.aborted || aborted(err)) return
      g.error = asError(err)
      // A transfer that was stopped on purpose, here or elsewhere, is no failure to show.
      if (g.error.code === 'cancelled') this.dismiss(g)
      else g.state = 'failed'
    } finally {
      this.#next()
    }
  }
}

const stay = (e: BeforeUnloadEvent): void => e.preventDefault()

export const gets = new Gets()
