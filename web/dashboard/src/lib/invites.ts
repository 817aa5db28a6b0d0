// Invites: as people paste them, and in words. Pure.
import type { Invite, InviteRequest } from './api'
import { count, relative, whole } from './format'

/** The invite in pasted text: a whole command, a quoted mail, broken lines. */
export function clean(text: string): string {
  return text
    .replace(/^[\s$>"'`]*cairn\s+join\s+/i, '')
    .replace(/[\s>"'`,;]+/g, '')
    .toLowerCase()
}

/** What is plainly wrong with pasted text, before the peer is asked; '' when nothing is. */
export function complaint(text: string): string {
  const t = clean(text)
  if (t === '') return ''
  if (/^cairn\d/.test(t)) return 'This is a ticket: it fetches a file. Paste it on Transfers. An invite begins with “cairninvite1”.'
  if (!t.startsWith('cairninvite1')) return 'An invite begins with “cairninvite1”. Paste the whole text that cairn invite printed.'
  if (t.indexOf('cairninvite1', 1) > 0) return 'These are two invites. A peer is in one network at a time: paste one of them.'
  if (t.length < 80) return 'The invite is cut off. Paste all of it.'
  return ''
}

/** What stands of an invite: 1 of 3 uses, ends in 22 h. now in milliseconds. */
export function inviteWords(v: Invite, now: number): string {
  const used = v.uses > 1 ? `${whole(v.used.length)} of ${count(v.uses, 'use')}` : v.used.length > 0 ? 'used' : 'not used yet'
  const at = relative(Date.parse(v.expires), now)
  switch (v.state) {
    case 'open':
      return `${used}, ends ${at}`
    case 'used':
      return v.uses > 1 ? `used up: ${used}` : 'used'
    case 'expired':
      return `ended ${at}, ${used}`
    case 'revoked':
      return `revoked, ${used}`
  }
}

export const lives = [
  [3600, '1 hour'],
  [86_400, '24 hours'],
  [7 * 86_400, '7 days'],
  [30 * 86_400, '30 days'],
] as const

export interface InviteDraft {
  role: Invite['role']
  seconds: number
  uses: number | null
  zone: string
  classes: string // separated by commas or blanks
  coordinator: boolean
  for: string
}

export const newDraft = (): InviteDraft => ({ role: 'member', seconds: 86_400, uses: null, zone: '', classes: '', coordinator: true, for: '' })

/** The classes in a field: storage, slow. */
export const classesOf = (text: string): string[] => [...new Set(text.split(/[\s,;]+/).filter((c) => c !== ''))]

/** What the peer is asked for, or what is wrong with the form, by field. */
export function read(d: InviteDraft): { request: InviteRequest; wrong: Partial<Record<keyof InviteDraft, string>> } {
  const wrong: Partial<Record<keyof InviteDraft, string>> = {}
  const uses = d.uses ?? 1
  if (!Number.isInteger(uses) || uses < 1 || uses > 1000) wrong.uses = 'A whole number from 1 to 1,000.'
  const only = d.for.trim()
  if (only !== '' && !/^[1-9A-HJ-NP-Za-km-z]{20,128}$/.test(only)) wrong.for = 'A peer id, as cairn id prints it on that machine.'
  if (only !== '' && uses > 1) wrong.uses = 'For one machine, one use is enough.'
  const classes = classesOf(d.classes)
  if (classes.length > 16) wrong.classes = 'At most 16 classes.'
  return {
    wrong,
    request: {
      role: d.role,
      expire_seconds: d.seconds,
      uses,
      ...(d.role !== 'reader' && d.coordinator ? {} : { no_coordinator: true }),
      ...(d.zone.trim() === '' ? {} : { zone: d.zone.trim() }),
      ...(classes.length === 0 ? {} : { classes }),
      ...(only === '' ? {} : { for: only }),
    },
  }
}
