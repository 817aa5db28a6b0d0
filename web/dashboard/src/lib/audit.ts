// The audit log in words. Pure.
import type { Member } from './api'
import type { AuditRecord } from './security'

const actions: Record<string, string> = {
  'network.init': 'made the network',
  'network.join': 'joined the network',
  'network.leave': 'left the network',
  'network.recover': 'used the root key',
  'invite.create': 'made an invite',
  'invite.redeem': 'used an invite',
  'invite.revoke': 'revoked an invite',
  'member.revoke': 'revoked',
  'member.rename': 'renamed',
  'member.renew': 'renewed the certificate of',
  'member.admit': 'admitted',
  'token.create': 'made a token',
  'token.revoke': 'revoked a token',
  'key.rotate': 'made new keys',
  'key.backup': 'backed up the keys',
  'config.set': 'changed a setting',
  login: 'logged in',
  logout: 'logged out',
  'door.denied': 'was refused at the door',
}

/** What was done; an action that is not known here stays as it is. */
export const actionWord = (action: string): string => actions[action] ?? action.replaceAll('.', ' ')

/** Who did it, as people say: the name of a member for its id. */
export function actorWord(actor: string, name: (id: string) => string): string {
  switch (actor) {
    case 'local':
      return 'A command on this machine'
    case 'session':
      return 'A browser'
    case 'self':
    case 'peer':
      return 'This peer'
  }
  if (actor.startsWith('token ')) return `Token ${actor.slice(6)}`
  return name(actor) || actor
}

/** Records about a member: it did something, or something was done to it. */
export const about = (list: readonly AuditRecord[], m: Member): AuditRecord[] =>
  list.filter((r) => [r.actor, r.subject ?? ''].some((s) => s === m.id || s === m.name))

/** Records with every word of q somewhere in them. */
export function search(list: readonly AuditRecord[], q: string): AuditRecord[] {
  const parts = q.toLowerCase().split(/\s+/).filter(Boolean)
  if (parts.length === 0) return [...list]
  return list.filter((r) => {
    const text = [r.actor, r.from, r.action, actionWord(r.action), r.subject, r.outcome, r.detail].filter(Boolean).join(' ').toLowerCase()
    return parts.every((p) => text.includes(p))
  })
}
