// The key with which a page that was reloaded, or opened in a second tab, proves that it belongs to the session.
// The browser keeps it (IndexedDB); its private half cannot be read by anyone, this page included.

const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
const prefix = 'cairn-resume-1:'

export interface KeyPair {
  privateKey: CryptoKey
  publicKey: CryptoKey
}

/** A new key, or null where browsers offer none (a page that is not from this machine and not https). */
export async function newKey(): Promise<KeyPair | null> {
  if (!globalThis.isSecureContext) return null
  return crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])
}

/** The uncompressed point, base64url. */
export async function publicText(pair: KeyPair): Promise<string> {
  return base64url(new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey)))
}

export async function sign(pair: KeyPair, challenge: string): Promise<string> {
  const text = new TextEncoder().encode(prefix + challenge)
  return base64url(new Uint8Array(await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, pair.privateKey, text)))
}

export function base64url(raw: Uint8Array): string {
  return btoa(String.fromCharCode(...raw)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

const table = 'keys'
const only = 'session'

function database(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const open = indexedDB.open('cairn', 1)
    open.onupgradeneeded = () => open.result.createObjectStore(table)
    open.onsuccess = () => resolve(open.result)
    open.onerror = () => reject(open.error ?? new Error('no database'))
  })
}

async function within<T>(mode: IDBTransactionMode, f: (s: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const db = await database()
  try {
    return await new Promise<T>((resolve, reject) => {
      const transaction = db.transaction(table, mode)
      const request = f(transaction.objectStore(table))
      transaction.oncomplete = () => resolve(request.result)
      transaction.onabort = () => reject(transaction.error ?? new Error('database failed'))
    })
  } finally {
    db.close()
  }
}

// A browser may forbid storage. Then a reload asks for a new login code, and nothing else is lost.

export async function saveKey(pair: KeyPair): Promise<void> {
  await within('readwrite', (s) => s.put(pair, only)).catch(() => undefined)
}

export async function loadKey(): Promise<KeyPair | null> {
  const found: unknown = await within('readonly', (s) => s.get(only)).catch(() => null)
  return (found as KeyPair | undefined) ?? null
}

export async function forgetKey(): Promise<void> {
  await within('readwrite', (s) => s.delete(only)).catch(() => undefined)
}
