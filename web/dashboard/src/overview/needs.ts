// What needs the user, the worst first. Pure: made from what the page knows.
import type { Entry, NetworkStatus, Status, Transfer } from '../lib/api'
import { count, sentence } from '../lib/format'
import { to } from '../lib/routes'
import { alertTone, entryTrouble } from '../lib/words'

export interface Need {
  key: string
  tone: 'warn' | 'bad'
  title: string
  text: string
  href: string
}

const recent = 24 * 3600 * 1000 // ms for which a failed transfer is worth a line

export function needs(s: Status | null, entries: readonly Entry[], transfers: readonly Transfer[], now: number, n: NetworkStatus | null = null, words = false): Need[] {
  const out: Need[] = []
  if (s && s.store.corrupt_blocks > 0) {
    const title = `${count(s.store.corrupt_blocks, 'damaged block')} in the store`
    out.push({ key: 'corrupt', tone: 'bad', title, text: 'Settings, Verify says which entries it concerns. Damaged bytes are never delivered.', href: to.settings() })
  }
  if (s && !s.store.accepting) {
    const text = `${sentence(s.store.reason || 'there is no space left')}. Free some space, or remove entries and clean up.`
    out.push({ key: 'space', tone: 'warn', title: 'The store takes nothing new', text, href: to.settings() })
  }
  if (words) {
    const text = 'They are shown once, and this page is the only place that still has them. Write them down.'
    out.push({ key: 'words', tone: 'bad', title: `The recovery words of ${n?.name ?? 'the network'} are not kept yet`, text, href: to.network() })
  }
  for (const a of n?.alerts ?? []) {
    const href = a.member_id ? to.member(a.member_id) : to.network()
    out.push({ key: `${a.kind} ${a.member_id ?? ''}`, tone: alertTone(a), title: sentence(a.message), text: a.hint ? `${sentence(a.hint)}.` : `The page of the network says more.`, href })
  }
  for (const e of entries) {
    const text = entryTrouble(e)
    if (text !== '') out.push({ key: e.id, tone: 'warn', title: `${e.name} is ${e.state}`, text, href: to.entry(e.id) })
  }
  for (const t of transfers) {
    if (t.state !== 'failed' || now - Date.parse(t.ended ?? t.started) > recent) continue
    // Somebody else's download that broke off is not this user's business.
    if (t.direction === 'upload') continue
    const text = [t.reason, t.hint].filter(Boolean).map((p) => sentence(p ?? '')).join('. ')
    out.push({ key: t.id, tone: 'bad', title: `${t.name || 'A transfer'} failed`, text, href: to.transfer(t.id) })
  }
  return out.sort((a, b) => Number(b.tone === 'bad') - Number(a.tone === 'bad'))
}
