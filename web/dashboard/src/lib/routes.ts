// The addresses of the pages. Pure.

export type Route =
  | { page: 'overview' }
  | { page: 'library'; q: string }
  | { page: 'entry'; id: string; path: string }
  | { page: 'transfers' }
  | { page: 'transfer'; id: string }
  | { page: 'network' }
  | { page: 'peer'; id: string }
  | { page: 'member'; id: string }
  | { page: 'audit' }
  | { page: 'settings' }
  | { page: 'unknown' }

const part = encodeURIComponent

function query(values: Record<string, string>): string {
  const q = new URLSearchParams(Object.entries(values).filter(([, v]) => v !== '')).toString()
  return q === '' ? '' : `?${q}`
}

export const to = {
  overview: (): string => '/',
  library: (q = ''): string => `/library${query({ q })}`,
  entry: (id: string, path = ''): string => `/library/${part(id)}${query({ path })}`,
  transfers: (): string => '/transfers',
  transfer: (id: string): string => `/transfers/${part(id)}`,
  network: (): string => '/network',
  peer: (id: string): string => `/network/${part(id)}`,
  member: (id: string): string => `/members/${part(id)}`,
  audit: (): string => '/audit',
  settings: (): string => '/settings',
}

/** The page of an address. */
export function parse(url: { pathname: string; search: string }): Route {
  const [first = '', second, ...more] = url.pathname.split('/').filter((s) => s !== '')
  if (more.length > 0) return { page: 'unknown' }
  const id = second === undefined ? undefined : decode(second)
  if (id === null) return { page: 'unknown' }
  const q = new URLSearchParams(url.search)
  switch (first) {
    case 'library':
      return id === undefined ? { page: 'library', q: q.get('q') ?? '' } : { page: 'entry', id, path: q.get('path') ?? '' }
    case 'transfers':
      return id === undefined ? { page: 'transfers' } : { page: 'transfer', id }
    case 'network':
      return id === undefined ? { page: 'network' } : { page: 'peer', id }
    case 'members':
      return id === undefined ? { page: 'network' } : { page: 'member', id }
  }
  if (id === undefined && first === '') return { page: 'overview' }
  if (id === undefined && first === 'settings') return { page: 'settings' }
  if (id === undefined && first === 'audit') return { page: 'audit' }
  return { page: 'unknown' }
}

function decode(s: string): string | null {
  try {
    return decodeURIComponent(s)
  } catch {
    return null
  }
}

/** The login code in a fragment such as #login=7ZKQ-0M4T-XP9B; '' without one. */
export function loginCode(hash: string): string {
  const m = /^#login=([^&]{1,64})$/.exec(hash)
  return m === null ? '' : (decode(m[1] ?? '') ?? '')
}
