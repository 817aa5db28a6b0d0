// What the peer tells as it happens. One stream of events for the page; changes are applied once per frame.
import { SvelteMap } from 'svelte/reactivity'
import type { Entry, Event, Limits, PeerInfo, Rates, Status, Transfer } from './api'
import { ApiError, events as open } from './client'
import { net } from './network.svelte'
import * as peer from './peer'
import { Series } from './series'
import { session } from './session.svelte'

type Phase =
  | 'connecting' // the first time
  | 'live'
  | 'lost' // the stream broke: what is shown is old
  | 'paused' // nobody looks at the page

const silence = 25_000 // ms without a sign of life after which a stream is given up; the peer gives one every 10 s
const patience = [1, 2, 4, 8, 15] // seconds until the next attempt
const unwatched = 60_000 // ms in the background after which the stream is closed: browsers allow few connections

/** Down and up over time. */
export interface History {
  down: Series
  up: Series
}

export interface EntryListener {
  changed(e: Entry): void
  removed(id: string): void
  /** Anything may have changed meanwhile. */
  resync(): void
}

class Live {
  phase = $state<Phase>('connecting')
  lostSince = $state.raw<Date | null>(null)
  retryAt = $state<number>(0)

  status = $state.raw<Status | null>(null)
  peers = $state.raw<PeerInfo[] | null>(null)
  rates = $state.raw<Rates | null>(null)
  /** As of their last change while this page is open. */
  limits = $state.raw<Limits | null>(null)
  transfers = new SvelteMap<string, Transfer>()
  loaded = $state(false)

  /** Grows every second; charts draw when it does. In seconds. */
  second = $state(0)
  readonly history: History = { down: new Series(), up: new Series() }
  #transferRates = new Map<string, Series>()
  #peerRates = new Map<string, History>()

  #listeners = new Set<EntryListener>()
  #queue: Event[] = []
  #holding = false
  #scheduled = false
  #lastID = ''
  #abort: AbortController | null = null
  #wake: (() => void) | null = null
  #running = false
  #sampler: ReturnType<typeof setInterval> | undefined
  #background: ReturnType<typeof setTimeout> | undefined

  get fresh(): boolean {
    return this.phase === 'live' || this.phase === 'connecting'
  }

  /** Calls l for changes of entries until the function that it returns is called. */
  listen(l: EntryListener): () => void {
    this.#listeners.add(l)
    return () => this.#listeners.delete(l)
  }

  transferRate(id: string): Series {
    return upsert(this.#transferRates, id, () => new Series(600))
  }

  peerRate(id: string): History {
    return upsert(this.#peerRates, id, () => ({ down: new Series(600), up: new Series(600) }))
  }

  /** A transfer as an operation just returned it. */
  put(t: Transfer): void {
    this.transfers.set(t.id, t)
  }

  start(): void {
    if (this.#running) return
    this.#running = true
    this.#sampler = setInterval(() => this.#sample(), 1000)
    document.addEventListener('visibilitychange', this.#watch)
    void this.#run()
  }

  stop(): void {
    this.#running = false
    clearInterval(this.#sampler)
    clearTimeout(this.#background)
    document.removeEventListener('visibilitychange', this.#watch)
    this.#abort?.abort()
    this.#wake?.()
    this.#lastID = ''
    this.#queue = []
    this.phase = 'connecting'
    this.lostSince = null
    this.status = this.peers = this.rates = this.limits = null
    this.transfers.clear()
    net.clear()
    this.loaded = false
  }

  /** Tries again now instead of at the end of the pause. */
  retry(): void {
    this.#wake?.()
  }

  #watch = (): void => {
    clearTimeout(this.#background)
    if (!document.hidden) this.retry()
    else
      this.#background = setTimeout(() => {
        if (this.phase !== 'live') return
        this.phase = 'paused'
        this.#abort?.abort()
      }, unwatched)
  }

  async #run(): Promise<void> {
    let failures = 0
    while (this.#running) {
      const abort = new AbortController()
      this.#abort = abort
      let heard = Date.now()
      const guard = setInterval(() => Date.now() - heard > silence && abort.abort(), 1000)
      try {
        const stream = open('GET', '/v1/events', {
          signal: abort.signal,
          headers: this.#lastID === '' ? {} : { 'Last-Event-ID': this.#lastID },
          opened: () => void this.#snapshot(abort),
          heard: () => {
            heard = Date.now()
            failures = 0
          },
        })
        for await (const m of stream) {
          if (m.event === 'error') break
          const e = JSON.parse(m.data) as Event
          // Ids grow by one: a jump means that this page was too slow and the peer left events out.
          const gap = this.#lastID !== '' && Number(m.id) > Number(this.#lastID) + 1
          if (m.id !== '') this.#lastID = m.id
          if (gap && this.phase === 'live') void this.#snapshot(abort)
          this.#enqueue(e)
        }
      } catch (err) {
        if (err instanceof ApiError && err.status === 401) return
      } finally {
        clearInterval(guard)
        abort.abort()
      }
      if (!this.#running || session.state !== 'open') return
      if ((this.phase as Phase) !== 'paused') this.#lose(heard)
      const pause = patience[Math.min(failures++, patience.length - 1)] ?? 15
      this.retryAt = Date.now() + pause * 1000
      await this.#sleep(this.phase === 'paused' ? null : pause * 1000)
    }
  }

  #lose(heard: number): void {
    this.lostSince ??= new Date(this.phase === 'live' ? heard : Date.now())
    this.phase = 'lost'
  }

  #sleep(ms: number | null): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === null ? undefined : setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  // The stream tells changes only: what is there is fetched beside it, and changes wait until it has come.
  async #snapshot(abort: AbortController): Promise<void> {
    this.#holding = true
    try {
      const [status, peers, transfers] = await Promise.all([peer.status(), peer.peers(), peer.transfers(), net.load()])
      if (abort.signal.aborted) return
      this.status = status
      this.rates = status.rates
      this.peers = peers
      const ids = new Set(transfers.map((t) => t.id))
      for (const id of this.transfers.keys()) if (!ids.has(id)) this.transfers.delete(id)
      for (const t of transfers) this.transfers.set(t.id, t)
      this.loaded = true
      this.phase = 'live'
      this.lostSince = null
      for (const l of this.#listeners) l.resync()
    } catch {
      abort.abort()
    } finally {
      this.#holding = false
      this.#schedule()
    }
  }

  #enqueue(e: Event): void {
    this.#queue.push(e)
    if (!this.#holding) this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled || this.#queue.length === 0) return
    this.#scheduled = true
    const flush = (): void => {
      this.#scheduled = false
      for (const e of this.#queue.splice(0)) this.#apply(e)
    }
    if (document.hidden) setTimeout(flush, 250)
    else requestAnimationFrame(flush)
  }

  #apply(e: Event): void {
    if (e.transfer) this.transfers.set(e.transfer.id, e.transfer)
    if (e.status) {
      this.status = e.status
      this.rates = e.status.rates
    }
    if (e.rates) this.rates = e.rates
    if (e.limits) this.limits = e.limits
    net.apply(e)
    if (e.type === 'peers') this.peers = e.peers ?? []
    if (e.entry) for (const l of this.#listeners) l.changed(e.entry)
    if (e.type === 'entry_removed' && e.entry_id) for (const l of this.#listeners) l.removed(e.entry_id)
  }

  // Charts get one value per second whatever the pace of the events; none while the stream is lost.
  #sample(): void {
    const now = Math.floor(Date.now() / 1000)
    const live = this.phase === 'live'
    this.history.down.add(now, live ? (this.rates?.down_bps ?? null) : null)
    this.history.up.add(now, live ? (this.rates?.up_bps ?? null) : null)
    for (const t of this.transfers.values()) {
      if (t.state === 'active') this.transferRate(t.id).add(now, live ? t.bps : null)
    }
    for (const p of this.peers ?? []) {
      const h = this.peerRate(p.peer_id)
      h.down.add(now, live ? p.down_bps : null)
      h.up.add(now, live ? p.up_bps : null)
    }
    for (const id of this.#transferRates.keys()) if (!this.transfers.has(id)) this.#transferRates.delete(id)
    if (this.#peerRates.size > 4000) this.#peerRates.clear()
    net.sample(now, live)
    this.second = now
  }
}

function upsert<V>(m: Map<string, V>, key: string, make: () => V): V {
  let v = m.get(key)
  if (v === undefined) m.set(key, (v = make()))
  return v
}

export const live = new Live()
