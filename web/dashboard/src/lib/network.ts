// What the dashboard asks of a peer about its network: one function for every operation.
import type { InitResult, Invite, InviteRequest, Member, NetworkStatus, RevokeResult } from './api'
import { call, request } from './client'

const part = encodeURIComponent

export const network = (): Promise<NetworkStatus> => call('GET', '/v1/network')
export const members = (): Promise<Member[]> => call('GET', '/v1/members')

export const member = (ref: string, signal?: AbortSignal): Promise<Member> => call('GET', `/v1/members/${part(ref)}`, { signal })

/** Makes a network. The words in the answer are its root key, and are told this once. */
export const init = (name: string, peerName: string): Promise<InitResult> =>
  call('POST', '/v1/network', { body: peerName === '' ? { name } : { name, peer_name: peerName } })

export const join = (invite: string, name: string): Promise<NetworkStatus> =>
  call('POST', '/v1/network/join', { body: name === '' ? { invite } : { invite, name } })

export const leave = (): Promise<void> => call('DELETE', '/v1/network')

/** Ends a membership. isVoid: what this administrator issued ends too. */
export function revoke(id: string, o: { isVoid: boolean; reason: string }): Promise<RevokeResult> {
  const q = new URLSearchParams()
  if (o.isVoid) q.set('void', 'true')
  if (o.reason !== '') q.set('reason', o.reason)
  const text = q.toString()
  return call('DELETE', `/v1/members/${part(id)}${text === '' ? '' : `?${text}`}`)
}

export const rename = (id: string, name: string): Promise<Member> => call('PUT', `/v1/members/${part(id)}/name`, { body: { name } })

export const invites = (signal?: AbortSignal): Promise<Invite[]> => call('GET', '/v1/invites', { signal })
export const invite = (r: InviteRequest): Promise<Invite> => call('POST', '/v1/invites', { body: r })
export const revokeInvite = (id: string): Promise<Invite> => call('DELETE', `/v1/invites/${part(id)}`)

export const inviteQR = async (id: string, signal?: AbortSignal): Promise<string> =>
  (await request('GET', `/v1/invites/${part(id)}/qr.svg`, { signal })).text()
