// The library as a list that is fetched in pages and kept up to date by events.
import type { Entry } from './api'
import { asError, type ApiError } from './client'
import { live, type EntryListener } from './live.svelte'
import * as peer from './peer'

const page = 200
const largest = 1000 // the most that the peer gives at once

export class EntryList implements EntryListener {
  items = $state.raw<Entry[]>([])
  total = $state(0)
  error = $state.raw<ApiError | null>(null)
  ready = $state(false)
  q = $state('')
  #cursor = ''
  #wanted = 0
  #abort: AbortController | null = null
  #late: (() => void)[] = [] // changes that came while a page was fetched, which may not know of them yet

  /** Shows what matches q, from the beginning. What is on the screen stays until the new list is there. */
  async search(q: string): Promise<void> {
    this.q = q
    this.#abort?.abort()
    const abort = (this.#abort = new AbortController())
    this.#wanted = 0
    try {
      const first = await peer.entries({ q, limit: page }, abort.signal)
      if (abort.signal.aborted) return
      this.items = first.entries
      this.total = Math.max(first.total, first.entries.length)
      this.#cursor = first.next ?? ''
      this.error = null
    } catch (err) {
      if (abort.signal.aborted) return
      this.error = asError(err)
    } finally {
      if (this.#abort === abort) {
        this.ready = true
        this.#fetched()
      }
    }
  }

  /** Makes sure that the rows before end are there, or on their way. */
  async want(end: number): Promise<void> {
    this.#wanted = Math.min(end, this.total)
    if (this.#abort !== null) return
    const abort = (this.#abort = new AbortController())
    try {
      while (this.items.length < this.#wanted && this.#cursor !== '') {
        const missing = this.#wanted - this.items.length
        const limit = missing > page ? largest : page
        const next = await peer.entries({ q: this.q, cursor: this.#cursor, limit }, abort.signal)
        if (abort.signal.aborted) return
        const known = new Set(this.items.map((e) => e.id))
        this.items = [...this.items, ...next.entries.filter((e) => !known.has(e.id))]
        this.#cursor = next.next ?? ''
        if (this.#cursor === '') this.total = this.items.length
      }
      this.error = null
    } catch (err) {
      if (!abort.signal.aborted) this.error = asError(err)
    } finally {
      if (this.#abort === abort) this.#fetched()
    }
  }

  #fetched(): void {
    this.#abort = null
    for (const again of this.#late.splice(0)) again()
  }

  changed(e: Entry): void {
    if (this.#abort !== null) this.#late.push(() => this.changed(e))
    const i = this.items.findIndex((x) => x.id === e.id)
    if (i >= 0) {
      this.items = this.items.with(i, e)
      return
    }
    if (this.q !== '' && !e.name.toLowerCase().includes(this.q.toLowerCase())) return
    // Newest first. What is older than all that was fetched is counted already and comes with a later page.
    const made = Date.parse(e.created)
    const at = this.items.findIndex((x) => Date.parse(x.created) <= made)
    if (at < 0 && this.#cursor !== '') return
    this.items = this.items.toSpliced(at < 0 ? this.items.length : at, 0, e)
    this.total++
  }

  removed(id: string): void {
    if (this.#abort !== null) this.#late.push(() => this.removed(id))
    const rest = this.items.filter((e) => e.id !== id)
    if (rest.length === this.items.length) return
    this.items = rest
    this.total = Math.max(rest.length, this.total - 1)
  }

  resync(): void {
    if (this.ready) void this.search(this.q)
  }

  clear(): void {
    this.#abort?.abort()
    this.#abort = null
    this.#late = []
    this.items = []
    this.total = 0
    this.ready = false
    this.q = ''
  }
}

/** The list of the Library page, kept while other pages are shown. */
export const library = new EntryList()
live.listen(library)
