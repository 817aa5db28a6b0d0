import type { Transfer } from '../lib/api'

/** The colour of a transfer's bar. */
export function tone(t: Transfer): 'accent' | 'ok' | 'warn' | 'bad' {
  switch (t.state) {
    case 'active':
      return 'accent'
    case 'done':
      return 'ok'
    case 'failed':
      return 'bad'
    case 'waiting':
    case 'cancelled':
      return 'warn'
  }
}
