// Sentences made from states. Pure: they are what the dashboard says, so they are tested as text.
import type { Alert, Entry, NetworkStatus, PeerInfo, Status, Ticket, Transfer, TransferSource } from './api'
import { bytes, count, rate, relative, sentence, whole } from './format'

export type Tone = 'ok' | 'busy' | 'warn' | 'bad' | 'off'

export interface Saying {
  tone: Tone
  text: string
}

/** The one sentence at the top of every page. */
export function statusSentence(s: Status | null, transfers: readonly Transfer[], phase: string, n: NetworkStatus | null = null): Saying {
  if (phase === 'lost') return { tone: 'bad', text: 'Not connected to the peer' }
  if (s === null) return { tone: 'off', text: 'Connecting to the peer' }
  if (s.store.corrupt_blocks > 0) {
    return { tone: 'bad', text: `${count(s.store.corrupt_blocks, 'damaged block')} found in the store` }
  }
  const urgent = n?.alerts.find((a) => alertTone(a) === 'bad')
  if (urgent) return { tone: 'bad', text: sentence(urgent.message) }
  if (n?.joined && n.state !== 'valid') return { tone: 'warn', text: `Cannot take part in ${n.name}: ${n.reason || n.state}` }
  if (!s.store.accepting) return { tone: 'warn', text: `Takes nothing new: ${s.store.reason || 'no space left'}` }
  const moving = transfers.filter((t) => t.state === 'active')
  if (moving.length > 0) {
    const bps = moving.reduce((sum, t) => sum + t.bps, 0)
    return { tone: 'busy', text: `${count(moving.length, 'transfer')} running, ${rate(bps)}` }
  }
  const waiting = transfers.filter((t) => t.state === 'waiting').length
  if (waiting > 0) return { tone: 'busy', text: `${count(waiting, 'transfer')} waiting` }
  if (n?.joined) return { tone: 'ok', text: `In ${n.name}, ${connectedWords(n)}` }
  if (s.store.entries === 0) return { tone: 'ok', text: 'Ready, nothing in the library yet' }
  return { tone: 'ok', text: `Ready, ${count(s.store.entries, 'entry', 'entries')} in the library` }
}

/** 5 of 6 other members connected. */
export function connectedWords(n: NetworkStatus): string {
  const others = n.members - (n.state === 'valid' ? 1 : 0)
  return others <= 0 ? 'nobody else yet' : `${whole(n.connected)} of ${count(others, 'other member')} connected`
}

/** Which alerts of a network cannot wait. */
export const alertTone = (a: Alert): 'warn' | 'bad' => (a.kind === 'clone' || a.kind === 'revoked' || a.kind === 'suspended' ? 'bad' : 'warn')

/** What a removal means, in words. */
export function removeWords(e: Entry): { title: string; text: string } {
  const open = e.tickets.filter((t) => t.state === 'open').length
  const kept = e.owned
    ? `The copy that this peer keeps (${bytes(e.size)}) is deleted at the next clean-up.`
    : `Your own ${e.kind === 'directory' ? 'files stay' : 'file stays'} where ${e.kind === 'directory' ? 'they are' : 'it is'}; only the library forgets ${e.kind === 'directory' ? 'them' : 'it'}.`
  const tickets = open === 0 ? '' : ` ${open === 1 ? 'Its open ticket stops' : `Its ${whole(open)} open tickets stop`} working.`
  return { title: `Remove ${e.name} from this peer?`, text: `${kept}${tickets} You can undo this for a few minutes.` }
}

const origins: Record<Entry['origin'], string> = {
  share: 'shared here',
  add: 'added here',
  get: 'fetched with a ticket',
  upload: 'uploaded from a browser',
  import: 'imported from a CAR file',
  pin: 'pinned',
}

export const originWords = (e: Entry): string => origins[e.origin]

export function keptWords(e: Entry): string {
  return e.owned ? 'Copied into the store' : 'By reference: your own files are used where they are'
}

/** What is wrong with an entry, '' when nothing is. */
export function entryTrouble(e: Entry): string {
  switch (e.state) {
    case 'changed':
      return 'The file changed since it was added. Others cannot fetch it until it is added again.'
    case 'missing':
      return 'The file is not where it was. Put it back, or remove the entry.'
    case 'ok':
      return ''
  }
}

export const openTickets = (e: Entry): number => e.tickets.filter((t) => t.state === 'open').length

/** How a ticket stands: '2 of 5 downloads, ends in 23 h'. now in milliseconds. */
export function ticketWords(t: Ticket, now: number): string {
  const done =
    (t.max_downloads ?? 0) > 0 ? `${whole(t.downloads)} of ${count(t.max_downloads ?? 0, 'download')}` : count(t.downloads, 'download')
  switch (t.state) {
    case 'revoked':
      return `revoked after ${count(t.downloads, 'download')}`
    case 'used':
      return `used up: ${done}`
    case 'expired':
      return `ended ${t.expires ? relative(Date.parse(t.expires), now) : ''}, ${done}`.replace(' ,', ',')
    case 'open':
      return `${done}, ${t.expires ? `ends ${relative(Date.parse(t.expires), now)}` : 'never ends'}`
  }
}

const phases: Record<Transfer['state'], string> = {
  waiting: 'Waiting',
  active: 'Running',
  done: 'Done',
  failed: 'Failed',
  cancelled: 'Stopped',
}

export const stateWord = (t: Transfer): string => phases[t.state]

const directions: Record<Transfer['direction'], string> = {
  download: 'Download',
  upload: 'Upload to others',
  import: 'Into the library',
}

export const directionWord = (t: Transfer): string => directions[t.direction]

export const running = (t: Transfer): boolean => t.state === 'active' || t.state === 'waiting'

/** Running first, then the newest. */
export function transferOrder(a: Transfer, b: Transfer): number {
  const first = Number(running(b)) - Number(running(a))
  if (first !== 0) return first
  return Date.parse(b.ended ?? b.started) - Date.parse(a.ended ?? a.started)
}

export const transportWord = (t: PeerInfo['transport'] | string): string =>
  ({ tcp: 'TCP', 'quic-v1': 'QUIC' })[t] ?? (t || 'unknown')

/** What a multiaddr is, in words: whom it reaches and how. */
export function addressWords(addr: string): string {
  const [, kind = '', host = ''] = addr.split('/')
  const how = addr.includes('/quic-v1') ? 'QUIC' : addr.includes('/tcp/') ? 'TCP' : ''
  const whom = reach(kind, host)
  return [whom, how].filter((s) => s !== '').join(', ')
}

function reach(kind: string, host: string): string {
  if (kind === 'ip4') {
    const [a = 0, b = 0] = host.split('.').map(Number)
    if (a === 127) return 'this machine'
    if (a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168) || (a === 169 && b === 254)) {
      return 'local network'
    }
    if (a === 100 && b >= 64 && b < 128) return 'provider or overlay network'
    return 'internet'
  }
  if (kind === 'ip6') {
    const h = host.toLowerCase()
    if (h === '::1') return 'this machine'
    return /^f[cd]|^fe[89ab]/.test(h) ? 'local network' : 'internet'
  }
  return kind.startsWith('dns') ? 'by name' : ''
}

/** Which way bytes go between this peer and another side of a transfer. */
export const gives = (s: TransferSource): boolean => s.role !== 'downloader'

/** How much of the object a peer holds. */
export function holdsWords(s: TransferSource): string {
  if (s.have >= 1) return 'all of it'
  if (s.have <= 0) return s.partial ? 'nothing yet' : 'not known'
  return `${Math.max(1, Math.floor(s.have * 100))} %`
}

/** How this peer is connected with another, and why so. */
export const connectionWords = (s: TransferSource): string =>
  s.why || [transportWord(s.transport), addressWords(s.address).split(',')[0]].filter(Boolean).join(', ')

/** The parts of a whole, in percent. */
export function shares(parts: readonly number[]): number[] {
  const sum = parts.reduce((a, b) => a + b, 0)
  return parts.map((p) => (sum === 0 ? 0 : (p / sum) * 100))
}
