// The network that the peer is in, and its members, as they are now.
import type { Event, Member, NetworkStatus } from './api'
import { asError, type ApiError } from './client'
import * as ask from './network'
import { Series } from './series'

type Phase =
  | 'unknown' // not asked yet, or it could not be answered
  | 'absent' // this peer knows no networks
  | 'none' // it is in none
  | 'joined'

const charted = 64 // members whose rates are kept for charts

export interface Flow {
  down: Series
  up: Series
}

class Net {
  phase = $state<Phase>('unknown')
  status = $state.raw<NetworkStatus | null>(null)
  /** This peer first, then as the peer lists them. */
  members = $state.raw<Member[]>([])
  error = $state.raw<ApiError | null>(null)
  /** Grows when something about invites may have changed. */
  turn = $state(0)
  /** The root key of a network that was made on this page, until somebody has shown that it is kept. In memory only. */
  words = $state('')
  #index = new Map<string, number>()
  #flows = new Map<string, Flow>()
  #run = 0

  get self(): Member | undefined {
    return this.members.find((m) => m.self)
  }

  get admin(): boolean {
    return this.status?.role === 'admin' && this.status.state === 'valid'
  }

  member(id: string): Member | undefined {
    const list = this.members // read even when there is no such member: whoever asks is told when there is one
    const i = this.#index.get(id)
    return i === undefined ? undefined : list[i]
  }

  /** What a member is called; '' for somebody who is none. */
  name(id: string | undefined): string {
    return id === undefined ? '' : (this.member(id)?.name ?? '')
  }

  flow(id: string): Flow {
    let f = this.#flows.get(id)
    if (f === undefined) this.#flows.set(id, (f = { down: new Series(600), up: new Series(600) }))
    return f
  }

  /** Fetches everything. A peer that knows no networks says so with not_found; that is no failure. */
  async load(): Promise<void> {
    const run = ++this.#run
    try {
      const status = await ask.network()
      const members = status.joined ? await ask.members() : []
      if (run !== this.#run) return
      this.status = status
      this.#put(members)
      this.error = null
      this.phase = status.joined ? 'joined' : 'none'
      this.turn++
    } catch (err) {
      if (run !== this.#run) return
      const e = asError(err)
      if (e.code === 'not_found') this.clear('absent')
      else this.error = e
    }
  }

  /** What an operation returned, or an event told. */
  take(s: NetworkStatus): void {
    const other = s.joined !== this.status?.joined || s.id !== this.status?.id
    const more = s.members !== this.status?.members
    this.status = s
    if (!s.joined) {
      this.#put([])
      this.phase = 'none'
    }
    if (other) void this.load()
    else if (more) this.turn++
  }

  /** Members that are new or changed. */
  update(changed: readonly Member[]): void {
    const list = [...this.members]
    let joined = false
    for (const m of changed) {
      const i = this.#index.get(m.id)
      if (i !== undefined) list[i] = m
      else {
        this.#index.set(m.id, list.length)
        list.push(m)
        joined = true
      }
    }
    this.members = list
    if (joined) this.turn++
  }

  apply(e: Event): void {
    if (e.network) this.take(e.network)
    if (e.members && this.phase === 'joined') this.update(e.members)
  }

  /** Keeps the rates of this second for the charts. live: they are fresh. */
  sample(now: number, live: boolean): void {
    for (const m of this.members) {
      const c = m.connection
      if (!this.#flows.has(m.id) && (!c || c.down_bps + c.up_bps === 0 || this.#flows.size >= charted)) continue
      const f = this.flow(m.id)
      f.down.add(now, live && c ? c.down_bps : null)
      f.up.add(now, live && c ? c.up_bps : null)
    }
  }

  clear(phase: Phase = 'unknown'): void {
    this.#run++
    this.phase = phase
    this.status = null
    this.error = null
    this.#put([])
    this.#flows.clear()
    this.words = ''
  }

  #put(members: Member[]): void {
    this.#index = new Map(members.map((m, i) => [m.id, i]))
    this.members = members
  }
}

export const net = new Net()
