// What needs the user, the worst first. Pure: made from what the page knows.
import type { Entry, Status, Transfer } from '../lib/api'
import { count, sentence } from '../lib/format'
import { to } from '../lib/routes'
import { entryTrouble } from '../lib/words'

export interface Need {
  key: string
  tone: 'warn' | 'bad'
  title: string
  text: string
  href: string
}

const recent = 24 * 3600 * 1000 // ms for which a failed transfer is worth a line

export function needs(s: Status | null, entries: readonly Entry[], transfers: readonly Transfer[], now: number): Need[] {
  const out: Need[] = []
  if (s && s.store.corrupt_blocks > 0) {
    const title = `${count(s.store.corrupt_blocks, 'damaged block')} in the store`
    out.push({ key: 'corrupt', tone: 'bad', title, text: 'Settings, Verify says which entries it concerns. Damaged bytes are never delivered.', href: to.settings() })
  }
  if (s && !s.store.accepting) {
    const text = `${sentence(s.store.reason || 'there is no space left')}. Free some space, or remove entries and clean up.`
    out.push({ key: 'space', tone: 'warn', title: 'The store takes nothing new', text, href: to.settings() })
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
