// What the dashboard asks of a peer about who may do what: tokens, the audit log, the configuration, the network's
// authority for browsers. A peer that lacks one of them answers not_found, and the part of the page is left out.
import type { AuditPage, CertificateAuthority, NewToken, Setting, Token } from './api'
import { asError, call } from './client'

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
export const setSetting = (key: string, value: string): Promise<Setting> =>
  value === '' ? call('DELETE', `/v1/config/${part(key)}`) : call('PUT', `/v1/config/${part(key)}`, { body: { value } })

/** Reads the configuration again, and returns what holds then. */
export const reload = (): Promise<Setting[]> => call('POST', '/v1/config/reload')

export const authority = (signal?: AbortSignal): Promise<CertificateAuthority> => call('GET', '/v1/ca', { signal })

/** An answer, or null when the peer has no such part: it knows no such route, or says that the part is not at work. */
export async function optional<T>(ask: Promise<T>): Promise<T | null> {
  try {
    return await ask
  } catch (err) {
    const e = asError(err)
    if (e.code === 'not_found' || e.status === 503) return null
    throw err
  }
}
