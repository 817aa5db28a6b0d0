// What the dashboard asks of a peer about who may do what: tokens, the audit log, the configuration, the network's
// authority for browsers. A peer that lacks one of them answers not_found, and the part of the page is left out.
import { asError, call } from './client'

export interface Token {
  id: string
  name: string
  scope: 'read' | 'write' | 'admin'
  created: string
  expires: string
  last_used?: string
  last_from?: string
  state: 'active' | 'expired' | 'revoked'
}

/** The secret is told once. */
export interface NewToken extends Token {
  secret: string
}

export interface AuditRecord {
  id: number
  time: string
  actor: string
  from?: string
  action: string
  subject?: string
  outcome: 'done' | 'denied' | 'failed'
  detail?: string
}

export interface AuditPage {
  records: AuditRecord[]
  next?: number
}

export interface Setting {
  key: string
  value: string
  default: string
  origin: 'default' | 'file' | 'environment' | 'flag'
  help: string
  reload: boolean
  pending?: string
}

export interface Authority {
  pem: string
  fingerprint: string
  name: string
  expires: string
  permitted: string[]
}

const part = encodeURIComponent

export const tokens = (signal?: AbortSignal): Promise<Token[]> => call('GET', '/v1/tokens', { signal })

export const createToken = (r: { name: string; scope: Token['scope']; expire_seconds: number }): Promise<NewToken> =>
  call('POST', '/v1/tokens', { body: r })

export const revokeToken = (id: string): Promise<Token> => call('DELETE', `/v1/tokens/${part(id)}`)

/** The records before one, newest first; before 0: the newest. */
export const audit = (before: number, signal?: AbortSignal): Promise<AuditPage> =>
  call('GET', before === 0 ? '/v1/audit' : `/v1/audit?before=${before}`, { signal })

export const settings = (signal?: AbortSignal): Promise<Setting[]> => call('GET', '/v1/config', { signal })

/** An empty value takes the key out of the file. */
export const setSetting = (key: string, value: string): Promise<Setting> => call('PUT', `/v1/config/${part(key)}`, { body: { value } })

export const authority = (signal?: AbortSignal): Promise<Authority> => call('GET', '/v1/ca', { signal })

/** An answer, or null when the peer has no such part. */
export async function optional<T>(ask: Promise<T>): Promise<T | null> {
  try {
    return await ask
  } catch (err) {
    if (asError(err).code === 'not_found') return null
    throw err
  }
}
