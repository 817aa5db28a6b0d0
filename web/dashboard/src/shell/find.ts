// What the search box finds: everything that has an address.
import type { Entry } from '../lib/api'
import { bytes, shortId } from '../lib/format'
import { live } from '../lib/live.svelte'
import { memberWord, roleWord } from '../lib/members'
import { net } from '../lib/network.svelte'
import * as peer from '../lib/peer'
import { to } from '../lib/routes'
import { directionWord, stateWord } from '../lib/words'
import type { IconName } from '../ui/icons'

export interface Hit {
  href: string
  icon: IconName
  title: string
  note: string
}

const most = 10

/** The best few entries, transfers, members and peers for a text. Throws when it is aborted. */
export async function find(q: string, signal: AbortSignal): Promise<Hit[]> {
  const page = await peer.entries({ q, limit: 6 }, signal).catch(() => null)
  signal.throwIfAborted()
  return [...(page?.entries ?? []).map(entryHit), ...transferHits(q), ...memberHits(q), ...peerHits(q)].slice(0, most)
}

function entryHit(e: Entry): Hit {
  const icon = e.kind === 'directory' ? 'folder' : e.kind === 'symlink' ? 'link' : 'file'
  return { href: to.entry(e.id), icon, title: e.name, note: bytes(e.size) }
}

function transferHits(q: string): Hit[] {
  const found = [...live.transfers.values()].filter((t) => t.name.toLowerCase().includes(q.toLowerCase()) || t.cid === q)
  return found.slice(0, 3).map((t) => ({
    href: to.transfer(t.id),
    icon: 'transfers',
    title: t.name || 'Transfer',
    note: `${directionWord(t)}, ${stateWord(t).toLowerCase()}`,
  }))
}

function memberHits(q: string): Hit[] {
  const found = net.members.filter((m) => m.name.toLowerCase().includes(q.toLowerCase()) || (q.length >= 8 && m.id.startsWith(q)))
  return found.slice(0, 4).map((m) => ({ href: to.member(m.id), icon: 'user', title: m.name, note: `${roleWord(m.role)}, ${memberWord(m)}` }))
}

function peerHits(q: string): Hit[] {
  const ids = new Map((live.peers ?? []).filter((p) => !net.member(p.peer_id)).filter((p) => p.peer_id.includes(q) || p.address.includes(q)).map((p) => [p.peer_id, p]))
  return [...ids.values()].slice(0, 3).map((p) => ({ href: to.peer(p.peer_id), icon: 'peer', title: shortId(p.peer_id), note: p.address }))
}
