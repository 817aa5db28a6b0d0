// Requests to the peer. The secret that goes with each is kept in this module's memory and nowhere else.
import type { Error as Failure, ErrorBody } from './api'
import { messages, type Message } from './sse'

/** A failure in words for a user. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly failure: Pick<Failure, 'code' | 'message'> & Partial<Failure>,
  ) {
    super(failure.message)
    this.name = 'ApiError'
  }
  get code(): string {
    return this.failure.code
  }
  get hint(): string {
    return this.failure.hint ?? ''
  }
}

let secret = ''
let renew: () => Promise<boolean> = async () => false

export function setSecret(text: string): void {
  secret = text
}

/** What to do when the peer no longer knows the secret: get a new one, or say false. */
export function onUnknown(f: () => Promise<boolean>): void {
  renew = f
}

export const secretHeader = (): Record<string, string> => (secret === '' ? {} : { 'Cairn-Secret': secret })

export interface Options {
  body?: unknown
  headers?: Record<string, string>
  signal?: AbortSignal | undefined
  /** Do not try to renew the session on 401. */
  plain?: boolean
}

/** Sends a request and returns the answer of a success; everything else is thrown as an ApiError or an abort. */
export async function request(method: string, path: string, o: Options = {}): Promise<Response> {
  let response: Response
  try {
    response = await fetch(path, {
      method,
      headers: {
        ...secretHeader(),
        ...(o.body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...o.headers,
      },
      ...(o.body === undefined ? {} : { body: JSON.stringify(o.body) }),
      signal: o.signal ?? null,
      credentials: 'same-origin',
      cache: 'no-store',
    })
  } catch (err) {
    if (o.signal?.aborted) throw err
    throw noAnswer()
  }
  if (response.ok) return response
  if (response.status === 401 && !o.plain && (await renew())) return request(method, path, { ...o, plain: true })
  throw failureOf(response.status, await response.text().catch(() => ''))
}

/** Sends a request and returns its JSON answer. */
export async function call<T>(method: string, path: string, o: Options = {}): Promise<T> {
  const response = await request(method, path, o)
  return (response.status === 204 ? undefined : await response.json()) as T
}

/** The events of a stream, for as long as it lasts. */
export async function* events(
  method: string,
  path: string,
  o: Options & { opened?: () => void; heard?: () => void } = {},
): AsyncGenerator<Message> {
  const response = await request(method, path, { ...o, headers: { Accept: 'text/event-stream', ...o.headers } })
  o.opened?.()
  if (response.body !== null) yield* messages(response.body, o.heard)
}

/** Runs long work and returns its result. Throws its error, or one in words when the stream breaks off. */
export async function work<P, R>(path: string, body: unknown, o: {
  progress: (p: P) => void
  warning?: (text: string) => void
  signal?: AbortSignal
}): Promise<R> {
  const stream = events('POST', path, { body, signal: o.signal })
  try {
    for await (const m of stream) {
      const value: unknown = JSON.parse(m.data)
      switch (m.event) {
        case 'progress':
          o.progress(value as P)
          break
        case 'warning':
          o.warning?.((value as { message: string }).message)
          break
        case 'result':
          return value as R
        case 'error':
          throw new ApiError(0, value as Failure)
      }
    }
  } catch (err) {
    throw err instanceof ApiError || o.signal?.aborted ? err : brokeOff()
  }
  throw brokeOff()
}

/** Turns the body of a failed request into words, whatever it is. */
export function failureOf(status: number, text: string): ApiError {
  try {
    const body = JSON.parse(text) as Partial<ErrorBody>
    if (typeof body.error?.message === 'string') return new ApiError(status, body.error)
  } catch {
    // Not an answer of the peer's API: something between, or a peer of another kind.
  }
  return new ApiError(status, {
    code: 'failed',
    message: `the peer answered with status ${status}`,
    hint: 'reload the page; if it stays so, the log of the peer says more',
  })
}

export const noAnswer = (): ApiError =>
  new ApiError(0, {
    code: 'unavailable',
    message: 'the peer does not answer',
    hint: 'is it still running on that machine? cairn up starts it',
  })

const brokeOff = (): ApiError =>
  new ApiError(0, { code: 'unavailable', message: 'the connection to the peer broke off', hint: 'try again' })

/** Any thrown value as an error in words. */
export function asError(err: unknown): ApiError {
  if (err instanceof ApiError) return err
  return new ApiError(0, {
    code: 'failed',
    message: 'the dashboard failed to do this',
    hint: err instanceof Error ? err.message : 'reload the page',
  })
}

export const aborted = (err: unknown): boolean => err instanceof DOMException && err.name === 'AbortError'
