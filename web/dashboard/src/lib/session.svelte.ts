// Who is asking: logging in, going on after a reload, logging out.
import type { LoginResult, Session } from './api'
import { ApiError, asError, call, onUnknown, setSecret } from './client'
import { forgetKey, loadKey, newKey, publicText, saveKey, sign } from './key'

type State =
  | 'unknown' // not asked yet
  | 'none' // a login code is needed
  | 'open'
  | 'unreachable'

class SessionState {
  state = $state<State>('unknown')
  /** Why a login code is needed again; '' the first time. */
  reason = $state('')
  error = $state.raw<ApiError | null>(null)
  #renewing: Promise<boolean> | null = null
  #tabs = new BroadcastChannel('cairn-session')

  constructor() {
    onUnknown(() => this.#renew())
    // What happens in one tab concerns all of this browser.
    this.#tabs.onmessage = (m: MessageEvent<'in' | 'out'>) => {
      if (m.data === 'out' && this.state === 'open') this.#close('You logged out in another tab.')
      if (m.data === 'in' && this.state === 'none') void this.restore()
    }
  }

  /** Finds out whether this browser is logged in, and gets this page a secret of its own if it is. */
  async restore(): Promise<void> {
    this.error = null
    try {
      this.state = (await resume()) ? 'open' : 'none'
    } catch (err) {
      this.error = asError(err)
      this.state = 'unreachable'
    }
  }

  /** Trades a code for a session. Throws what the peer says against it. */
  async login(code: string): Promise<void> {
    const pair = await newKey()
    const body = pair === null ? { code } : { code, public_key: await publicText(pair) }
    const result = await call<LoginResult>('POST', '/v1/login', { body, plain: true })
    setSecret(result.secret)
    if (pair !== null) await saveKey(pair)
    this.reason = ''
    this.error = null
    this.state = 'open'
    this.#tabs.postMessage('in')
  }

  async logout(): Promise<void> {
    await call('POST', '/v1/logout', { plain: true }).catch((err: unknown) => {
      // Without a session there is nothing to end.
      if (!(err instanceof ApiError && err.status === 401)) throw err
    })
    await forgetKey()
    this.#tabs.postMessage('out')
    this.#close('You are logged out.')
  }

  #close(reason: string): void {
    setSecret('')
    this.reason = reason
    this.state = 'none'
  }

  // Many requests may learn at the same time that the secret is gone: one of them asks for another.
  #renew(): Promise<boolean> {
    if (this.state !== 'open') return Promise.resolve(false)
    this.#renewing ??= resume()
      .catch(() => false)
      .then((ok) => {
        this.#renewing = null
        if (!ok) this.#close('The session ended: it was closed in another tab, it expired, or the peer was restarted.')
        return ok
      })
    return this.#renewing
  }
}

async function resume(): Promise<boolean> {
  setSecret('')
  const who = await call<Session>('GET', '/v1/session', { plain: true })
  if (who.access !== 'none') return true
  const pair = who.challenge ? await loadKey() : null
  if (pair === null || !who.challenge) return false
  try {
    const body = { challenge: who.challenge, signature: await sign(pair, who.challenge) }
    setSecret((await call<LoginResult>('POST', '/v1/resume', { body, plain: true })).secret)
    return true
  } catch (err) {
    if (err instanceof ApiError && err.status >= 400 && err.status < 500) return false
    throw err
  }
}

export const session = new SessionState()
