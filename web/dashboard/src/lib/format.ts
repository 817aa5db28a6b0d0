// Numbers, times and names as people read them. Pure: what depends on the present takes it as an argument.

const sizes = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB']
const speeds = ['B/s', 'kB/s', 'MB/s', 'GB/s', 'TB/s']

/** Three digits at most: 1.4, 21.3, 212. */
function digits(n: number): string {
  if (n >= 99.95) return String(Math.round(n))
  const one = n.toFixed(1)
  return one.endsWith('.0') ? one.slice(0, -2) : one
}

function scaled(n: number, base: number, units: readonly string[]): string {
  if (!Number.isFinite(n) || n <= 0) return `0 ${units[0]}`
  let i = 0
  // The limit is where rounding would show the next unit's number, such as 1024 KiB.
  while (n >= base - 0.5 && i < units.length - 1) {
    n /= base
    i++
  }
  return `${i === 0 ? Math.round(n) : digits(n)} ${units[i]}`
}

/** A size: 1.4 GiB. */
export const bytes = (n: number): string => scaled(n, 1024, sizes)

/** A rate in bytes per second: 212 MB/s. */
export const rate = (n: number): string => scaled(n, 1000, speeds)

/** A count with its noun: 1 file, 12,000 files. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${whole(n)} ${n === 1 ? one : many}`
}

/** 12,000 */
export const whole = (n: number): string => Math.round(n).toLocaleString('en-US')

/** 47 %; never 100 % before all is there. */
export function percent(done: number, total: number): string {
  if (total <= 0) return '0 %'
  if (done >= total) return '100 %'
  return `${Math.min(99, Math.max(0, Math.floor((done / total) * 100)))} %`
}

/** A length of time in milliseconds, with the one or two units that matter: 3 min, 2 h 5 min. */
export function duration(ms: number): string {
  if (ms < 1000) return 'under 1 s'
  const s = Math.round(ms / 1000)
  if (s < 60) return `${s} s`
  const min = Math.round(s / 60)
  if (s < 600) return s % 60 === 0 ? `${s / 60} min` : `${Math.floor(s / 60)} min ${s % 60} s`
  if (min < 60) return `${min} min`
  const h = Math.floor(min / 60)
  if (h < 24) return min % 60 === 0 ? `${h} h` : `${h} h ${min % 60} min`
  const d = Math.floor(h / 24)
  if (d < 7 && h % 24 !== 0) return `${d} d ${h % 24} h`
  return count(d, 'day')
}

/** A moment as seen from now: just now, 5 min ago, in 23 h. Both in milliseconds. */
export function relative(at: number, now: number): string {
  const ms = at - now
  // What ends in 59 min 50 s ends in an hour.
  const coarse = roughly(ms > 60_000 ? ms + 30_000 : Math.abs(ms))
  if (coarse === '') return ms > 1000 ? 'in a moment' : 'just now'
  return ms > 0 ? `in ${coarse}` : `${coarse} ago`
}

function roughly(ms: number): string {
  const s = ms / 1000
  if (s < 10) return ''
  if (s < 60) return `${Math.floor(s)} s`
  if (s < 3600) return `${Math.floor(s / 60)} min`
  if (s < 86400) return `${Math.floor(s / 3600)} h`
  if (s < 86400 * 60) return count(Math.floor(s / 86400), 'day')
  if (s < 86400 * 365) return count(Math.floor(s / 86400 / 30), 'month')
  return count(Math.floor(s / 86400 / 365), 'year')
}

const two = (n: number): string => String(n).padStart(2, '0')

/** The local time of day: 12:03:10. */
export function clock(d: Date): string {
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
}

/** The local date and time: 2025-11-23 12:03:10. */
export function exact(d: Date): string {
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clock(d)}`
}

/** An id with its middle left out: 12D3Koo…9xQf. Short ones stay whole. */
export function shortId(id: string, head = 7, tail = 5): string {
  return id.length <= head + tail + 1 ? id : `${id.slice(0, head)}…${id.slice(-tail)}`
}

/** A name that fits max characters; what is cut is the middle, so that the extension stays. */
export function shortName(name: string, max: number): string {
  const chars = [...name]
  if (chars.length <= max) return name
  const tail = Math.min(8, Math.floor(max / 3))
  return `${chars.slice(0, max - tail - 1).join('')}…${chars.slice(-tail).join('')}`
}

/** The pieces of a text in which `commands` are set off by backticks. */
export function prose(text: string): { text: string; code: boolean }[] {
  const parts = text.split('`')
  // An odd backtick is only a backtick.
  if (parts.length % 2 === 0) return [{ text, code: false }]
  return parts.map((t, i) => ({ text: t, code: i % 2 === 1 })).filter((p) => p.text !== '')
}

/** First letter large, as at the beginning of a sentence; a command stays as it is typed. */
export const sentence = (s: string): string => (/^cairn [a-z]/.test(s) ? s : s.charAt(0).toUpperCase() + s.slice(1))
