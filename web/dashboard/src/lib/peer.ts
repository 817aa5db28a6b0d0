// What the dashboard asks of a peer: one function for every operation that it uses.
import type {
  Entry,
  EntryPage,
  Limits,
  Link,
  Listing,
  Opened,
  PeerInfo,
  Pieces,
  RateHistory,
  Status,
  Ticket,
  TicketOptions,
  Transfer,
} from './api'
import { call, request } from './client'
import type { Wanted } from './limits'

const part = encodeURIComponent

export const status = (): Promise<Status> => call('GET', '/v1/status')
export const peers = (): Promise<PeerInfo[]> => call('GET', '/v1/peers')
export const transfers = (): Promise<Transfer[]> => call('GET', '/v1/transfers')

export const transfer = (id: string, signal?: AbortSignal): Promise<Transfer> =>
  call('GET', `/v1/transfers/${part(id)}`, { signal })

export const cancel = (id: string): Promise<Transfer> => call('DELETE', `/v1/transfers/${part(id)}`)

export const pieces = (id: string, signal?: AbortSignal): Promise<Pieces> =>
  call('GET', `/v1/transfers/${part(id)}/pieces`, { signal })

export const rates = (id: string, window: string, signal?: AbortSignal): Promise<RateHistory> =>
  call('GET', `/v1/transfers/${part(id)}/rates?window=${part(window)}`, { signal })

export function entries(q: { q?: string; cursor?: string; limit: number }, signal?: AbortSignal): Promise<EntryPage> {
  const search = new URLSearchParams({ limit: String(q.limit) })
  if (q.q) search.set('q', q.q)
  if (q.cursor) search.set('cursor', q.cursor)
  return call('GET', `/v1/entries?${search}`, { signal })
}

export const entry = (ref: string, signal?: AbortSignal): Promise<Entry> =>
  call('GET', `/v1/entries/${part(ref)}`, { signal })

export const remove = (id: string): Promise<Entry> => call('DELETE', `/v1/entries/${part(id)}`)
export const restore = (id: string): Promise<Entry> => call('POST', `/v1/entries/${part(id)}/restore`)

export const issue = (id: string, o: TicketOptions): Promise<Ticket> =>
  call('POST', `/v1/entries/${part(id)}/tickets`, { body: o })

export const revoke = (ticketID: string): Promise<Ticket[]> => call('DELETE', `/v1/tickets/${part(ticketID)}`)

export const qr = async (ticketID: string, signal?: AbortSignal): Promise<string> =>
  (await request('GET', `/v1/tickets/${part(ticketID)}/qr.svg`, { signal })).text()

/** Opens a file so that the page can show it where it is, or lists a directory. ref may be a ticket. */
export const open = (ref: string, path: string, signal?: AbortSignal): Promise<Opened> =>
  call('POST', '/v1/open', { body: path === '' ? { ref } : { ref, path }, signal })

/** The beginning of an opened text. */
export const beginning = async (url: string, bytes: number, signal?: AbortSignal): Promise<string> =>
  (await request('GET', url, { headers: { Range: `bytes=0-${bytes - 1}` }, signal })).text()

export const limits = (signal?: AbortSignal): Promise<Limits> => call('GET', '/v1/limits', { signal })
export const setLimits = (w: Wanted): Promise<Limits> => call('PUT', '/v1/limits', { body: w })

const at = (path: string): string => (path === '' ? '' : `?path=${part(path)}`)

export const list = (ref: string, path: string, signal?: AbortSignal): Promise<Listing> =>
  call('GET', `/v1/list/${part(ref)}${at(path)}`, { signal })

/**
 * Lets the browser download a file. The first byte is asked for beforehand, because a browser that is sent away
 * to a failing download says nothing useful.
 */
export async function download(ref: string, path: string, size: number): Promise<void> {
  if (size > 0) {
    const probe = await request('GET', `/v1/content/${part(ref)}${at(path)}`, { headers: { Range: 'bytes=0-0' } })
    await probe.body?.cancel()
  }
  const link = await call<Link>('POST', '/v1/download-links', { body: path === '' ? { ref } : { ref, path } })
  const a = document.createElement('a')
  a.href = link.url
  a.download = ''
  document.body.append(a)
  a.click()
  a.remove()
}
