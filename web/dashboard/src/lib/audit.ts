// The audit log in words. Pure.
import type { AuditRecord, Member } from './api'
import { shortId } from './format'

const actions: Record<string, string> = {
  'network.init': 'made the network',
  'network.join': 'joined a network',
  'network.leave': 'left the network',
  'network.recover': 'used the root key',
  'invite.create': 'made an invite',
  'invite.redeem': 'used the invite',
  'invite.revoke': 'revoked the invite',
  'member.admit': 'admitted',
  'member.joined': 'joined',
  'member.renewed': 'renewed its certificate',
  'member.clone': 'runs on two machines',
  'member.cut_off': 'was cut off',
  'member.renew': 'renewed the certificate of',
  'member.rename': 'renamed',
  'member.revoke': 'revoked',
  'token.create': 'made the token',
  'token.revoke': 'revoked the token',
  'key.passphrase': 'changed the passphrase of the keys',
  'key.rotate': 'made new keys',
  'key.backup': 'backed up the keys',
  'config.set': 'changed the setting',
  'config.unset': 'set back the setting',
  'config.reload': 'read the configuration again',
  'limits.set': 'changed the speed limits',
  'ca.create': 'made the authority for browsers',
  'http.denied': 'asked for',
  'door.denied': 'knocked at the door for',
  'denials.counted': 'counted further refusals:',
  'audit.lost': 'lost records of this log',
  'audit.damaged': 'found this log damaged:',
  login: 'logged in',
  'login.code': 'made a login code',
  logout: 'logged out',
}

/** What was done; an action that is not known here stays as it is. */
export const actionWord = (action: string): string => actions[action] ?? action.replace(/[._]/g, ' ')

/** Who did it, as people say: the name of a member for its id. */
export function actorWord(actor: string, name: (id: string) => string): string {
  switch (actor) {
    case 'local':
      return 'A command on this machine'
    case 'session':
      return 'A browser'
    case 'peer':
      return 'This peer'
    case 'nobody':
      return 'Somebody'
  }
  if (actor.startsWith('token ')) return `Token ${actor.slice(6)}`
  return name(actor) || (actor.length > 40 ? shortId(actor) : actor)
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
